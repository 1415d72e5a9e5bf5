// The states of a job: spelling, where each is kept, and what may be done in each.
#include "core/state.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cctype>
#include <map>
#include <set>
#include <string>

namespace sync_job {
namespace {

constexpr std::array all_statuses = {Status::pending,  Status::queued,  Status::started,
                                     Status::finished, Status::skipped, Status::no_target,
                                     Status::relayed,  Status::failed,  Status::canceled};
constexpr std::array all_operations = {Operation::insert, Operation::update, Operation::remove};
constexpr std::array all_actions = {Action::start, Action::retry, Action::cancel, Action::execute};

std::string in_upper_case(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return out;
}

// These spellings lie in users' tables: they must never change.
TEST(State, EveryStatusHasItsStoredSpelling) {
    const std::map<Status, std::string_view> spelling = {
        {Status::pending, "Pending"},   {Status::queued, "Queued"},   {Status::started, "Started"},
        {Status::finished, "Finished"}, {Status::skipped, "Skipped"}, {Status::no_target, "No Target"},
        {Status::relayed, "Relayed"},   {Status::failed, "Failed"},   {Status::canceled, "Canceled"}};
    for (Status status : all_statuses) EXPECT_EQ(to_text(status), spelling.at(status));
}

TEST(State, EveryOperationHasItsStoredSpelling) {
    EXPECT_EQ(to_text(Operation::insert), "Insert");
    EXPECT_EQ(to_text(Operation::update), "Update");
    EXPECT_EQ(to_text(Operation::remove), "Delete");
}

TEST(State, ActionsAreNamedAsTheirFunctions) {
    EXPECT_EQ(to_text(Action::start), "start");
    EXPECT_EQ(to_text(Action::retry), "retry");
    EXPECT_EQ(to_text(Action::cancel), "cancel");
    EXPECT_EQ(to_text(Action::execute), "execute");
}

TEST(State, StatusIsReadInAnyCase) {
    for (Status status : all_statuses) {
        EXPECT_EQ(parse_status(to_text(status)), status);
        EXPECT_EQ(parse_status(in_upper_case(to_text(status))), status);
    }
    EXPECT_EQ(parse_status("no target"), Status::no_target);
}

TEST(State, OperationIsReadInAnyCase) {
    for (Operation operation : all_operations) {
        EXPECT_EQ(parse_operation(to_text(operation)), operation);
        EXPECT_EQ(parse_operation(in_upper_case(to_text(operation))), operation);
    }
    EXPECT_EQ(parse_operation("delete"), Operation::remove);
}

TEST(State, TriggerTypeIsReadInAnyCaseAndGivenAsStored) {
    EXPECT_EQ(parse_trigger_type("manual"), "Manual");
    EXPECT_EQ(parse_trigger_type("SCHEDULER"), "Scheduler");
    EXPECT_EQ(parse_trigger_type("wEbHoOk"), "Webhook");
    EXPECT_EQ(parse_trigger_type("api"), "API");
    EXPECT_EQ(parse_trigger_type("document hook"), "Document Hook");
}

TEST(State, WhatIsNoneOfThemIsNothing) {
    for (std::string_view text :
         {"", " ", "Pending ", " Pending", "Done", "Pend", "Pendingg", "No  Target", "NoTarget", "\xC3\x89"}) {
        EXPECT_EQ(parse_status(text), std::nullopt) << text;
    }
    for (std::string_view text : {"", "Remove", "Upsert", "Insert;", "Del"}) {
        EXPECT_EQ(parse_operation(text), std::nullopt) << text;
    }
    for (std::string_view text : {"", "DocumentHook", "Hook", "Manually"}) {
        EXPECT_EQ(parse_trigger_type(text), std::nullopt) << text;
    }
    EXPECT_EQ(parse_status(std::string_view("Pending\0", 8)), std::nullopt);
}

// The lists stand in error messages: what they offer must be accepted, and must be all there is.
TEST(State, ListsNameEachValidSpellingOnce) {
    auto parts = [](std::string_view list) {
        std::set<std::string> out;
        for (std::size_t end; !list.empty(); list.remove_prefix(std::min(list.size(), end + 2))) {
            end = std::min(list.find(", "), list.size());
            out.emplace(list.substr(0, end));
        }
        return out;
    };
    std::set<std::string> operations;
    for (Operation operation : all_operations) operations.emplace(to_text(operation));
    EXPECT_EQ(parts(operation_list()), operations);

    EXPECT_EQ(parts(trigger_type_list()).size(), 5U);
    for (const std::string& text : parts(trigger_type_list())) EXPECT_EQ(parse_trigger_type(text), text);
}

TEST(State, WhatWaitsOrRunsIsLive) {
    for (Status status : all_statuses) {
        Partition expected = status == Status::pending || status == Status::queued || status == Status::started
                                 ? Partition::live
                             : status == Status::failed ? Partition::failed
                                                        : Partition::ended;
        EXPECT_EQ(partition_of(status), expected) << to_text(status);
        EXPECT_EQ(has_ended(status), expected != Partition::live) << to_text(status);
    }
}

TEST(State, EveryActionInEveryState) {
    const std::map<Action, std::set<Status>> allowed = {
        {Action::start, {Status::pending}},
        {Action::retry, {Status::failed}},
        {Action::cancel, {Status::pending, Status::queued, Status::failed}},
        {Action::execute, {Status::pending, Status::queued, Status::failed}},
    };
    for (Action action : all_actions) {
        for (Status status : all_statuses) {
            EXPECT_EQ(allows(status, action), allowed.at(action).contains(status))
                << to_text(action) << " of " << to_text(status);
        }
    }
}

TEST(State, AllowedStatesAreThoseThatAreAllowed) {
    for (Action action : all_actions) {
        for (Status status : all_statuses) {
            bool named = allowed_states(action).find(to_text(status)) != std::string_view::npos;
            EXPECT_EQ(named, allows(status, action)) << to_text(action) << " of " << to_text(status);
        }
    }
}

}  // namespace
}  // namespace sync_job
