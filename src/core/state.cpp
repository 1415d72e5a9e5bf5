#include "core/state.hpp"

#include <array>

#include "core/text.hpp"

namespace sync_job {

namespace {

constexpr std::array<std::string_view, 9> status_texts = {"Pending",   "Queued",  "Started", "Finished", "Skipped",
                                                          "No Target", "Relayed", "Failed",  "Canceled"};
constexpr std::array<std::string_view, 3> operation_texts = {"Insert", "Update", "Delete"};
constexpr std::array<std::string_view, 5> trigger_type_texts = {"Manual", "Scheduler", "Webhook", "API",
                                                                "Document Hook"};

template <std::size_t N>
std::optional<std::size_t> find(const std::array<std::string_view, N>& texts, std::string_view text) {
    for (std::size_t i = 0; i < N; i++) {
        if (texts[i] == text) return i;  // the spelling in the tables, read several times per job
    }
    std::string wanted = lower(text);
    for (std::size_t i = 0; i < N; i++) {
        if (lower(texts[i]) == wanted) return i;
    }
    return std::nullopt;
}

}  // namespace

std::string_view to_text(Status status) { return status_texts[static_cast<std::size_t>(status)]; }
std::string_view to_text(Operation operation) { return operation_texts[static_cast<std::size_t>(operation)]; }

std::string_view to_text(Action action) {
    constexpr std::array<std::string_view, 4> texts = {"start", "retry", "cancel", "execute"};
    return texts[static_cast<std::size_t>(action)];
}

std::optional<Status> parse_status(std::string_view text) {
    auto index = find(status_texts, text);
    return index ? std::optional(static_cast<Status>(*index)) : std::nullopt;
}

std::optional<Operation> parse_operation(std::string_view text) {
    auto index = find(operation_texts, text);
    return index ? std::optional(static_cast<Operation>(*index)) : std::nullopt;
}

std::optional<std::string_view> parse_trigger_type(std::string_view text) {
    auto index = find(trigger_type_texts, text);
    return index ? std::optional(trigger_type_texts[*index]) : std::nullopt;
}

std::string_view operation_list() { return "Insert, Update, Delete"; }
std::string_view trigger_type_list() { return "Manual, Scheduler, Webhook, API, Document Hook"; }

Partition partition_of(Status status) {
    switch (status) {
        case Status::pending:
        case Status::queued:
        case Status::started:
            return Partition::live;
        case Status::failed:
            return Partition::failed;
        default:
            return Partition::ended;
    }
}

bool has_ended(Status status) { return partition_of(status) != Partition::live; }

bool allows(Status status, Action action) {
    switch (action) {
        case Action::start:
            return status == Status::pending;
        case Action::retry:
            return status == Status::failed;
        case Action::cancel:
        case Action::execute:
            return status == Status::pending || status == Status::queued || status == Status::failed;
    }
    return false;
}

std::string_view allowed_states(Action action) {
    switch (action) {
        case Action::start:
            return "Pending";
        case Action::retry:
            return "Failed";
        default:
            return "Pending, Queued or Failed";
    }
}

}  // namespace sync_job
