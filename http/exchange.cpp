#include "exchange.hpp"

#include <algorithm>

namespace sync_job::http {

namespace {

Milliseconds left(Clock::time_point until, Clock::time_point now) { return std::max(std::chrono::ceil<Milliseconds>(until - now), Milliseconds(1)); }

bool is_redirect(int status) { return status == 301 || status == 302 || status == 303 || status == 307 || status == 308; }

}  // namespace

void Exchange::start(SharedIo& io, Clock::time_point now) {
    started_ = now;
    deadline_ = now + Milliseconds(request_.timeout_ms);
    begin_hop(io, {endpoint_->origin, request_.target}, now);
}

void Exchange::begin_hop(SharedIo& io, Url url, Clock::time_point now) {
    url_ = std::move(url);
    hop_deadline_ = std::min(deadline_, now + Milliseconds(endpoint_->connect_timeout_ms));
    lookup_.reset();
    addresses_.clear();
    next_address_ = 0;
    if (const auto address = Address::parse(url_.origin.host)) {
        addresses_ = {*address};
        std::string why_not;
        if (allowed(addresses_, why_not).empty()) {
            end({SYNC_JOB_HTTP_ADDRESS_REFUSED, why_not}, now);
        } else {
            begin_transfer(io, now);
        }
        return;
    }
    lookup_ = io.resolver.look_up(url_.origin.host);
    check_lookup(io, now);
}

void Exchange::check_lookup(SharedIo& io, Clock::time_point now) {
    if (!lookup_->done()) {
        if (now >= hop_deadline_) end({SYNC_JOB_HTTP_NAME_FAILED, "host \"" + url_.origin.host + "\" was not found in time"}, now);
        return;
    }
    if (lookup_->failure().error != SYNC_JOB_HTTP_OK) {
        end(lookup_->failure(), now);
        return;
    }
    std::string why_not;
    addresses_ = allowed(lookup_->addresses(), why_not);
    if (addresses_.empty()) {
        end({SYNC_JOB_HTTP_ADDRESS_REFUSED, "host \"" + url_.origin.host + "\": " + why_not}, now);
    } else {
        begin_transfer(io, now);
    }
}

std::vector<Address> Exchange::allowed(const std::vector<Address>& found, std::string& why_not) const {
    std::vector<Address> result;
    for (const Address& address : found) {
        if (const auto why = why_refused(address, endpoint_->networks)) {
            why_not = "address " + *why;
        } else {
            result.push_back(address);
        }
    }
    return result;
}

void Exchange::begin_transfer(SharedIo& io, Clock::time_point now) {
    // The addresses that are left share the remaining time to connect.
    const auto share = left(hop_deadline_, now) / static_cast<int>(addresses_.size() - next_address_);
    transfer_.reset();
    transfer_ = std::make_unique<Transfer>(io.multi, Transfer::Plan{request_, *endpoint_, io.user_agent, url_, addresses_[next_address_],
                                                                         left(deadline_, now), std::max(share, Milliseconds(1)), this});
}

void Exchange::transfer_ended(SharedIo& io, CURLcode code, Clock::time_point now) {
    Failure failure = transfer_->failure(code);
    const bool whole = failure.error == SYNC_JOB_HTTP_OK || failure.error == SYNC_JOB_HTTP_ANSWER_TOO_LARGE;
    answer_->status = transfer_->status();
    answer_->address = transfer_->sent() ? transfer_->address().text() : "";
    if (!whole) {
        unanswered_ = transfer_->sent();
        if (!unanswered_ && begin_next_address(io, failure, now)) return;
        if (now >= deadline_) failure.error = SYNC_JOB_HTTP_TIMEOUT;
        end(std::move(failure), now);
        return;
    }
    const auto location = should_follow(answer_->status) ? transfer_->header("Location") : std::nullopt;
    if (location) {
        follow_redirect(io, *location, now);
    } else {
        answered(std::move(failure), now);
    }
}

// Only if nothing of the request has been sent.
bool Exchange::begin_next_address(SharedIo& io, const Failure& failure, Clock::time_point now) {
    if (failure.error != SYNC_JOB_HTTP_CONNECT_FAILED) return false;
    if (lookup_) lookup_->avoid(transfer_->address());
    if (next_address_ + 1 >= addresses_.size() || now >= hop_deadline_) return false;
    next_address_++;
    begin_transfer(io, now);
    return true;
}

// Never as a different request: if a redirect turned a POST into a GET, that would succeed, and nothing would have been sent.
bool Exchange::should_follow(int status) const {
    if (endpoint_->max_redirects == 0 || !is_redirect(status)) return false;
    return status == 307 || status == 308 || request_.method == "GET" || request_.method == "HEAD";
}

void Exchange::follow_redirect(SharedIo& io, const std::string& location, Clock::time_point now) {
    if (answer_->redirects >= endpoint_->max_redirects) {
        answered({SYNC_JOB_HTTP_REDIRECT_REFUSED, "more than " + std::to_string(endpoint_->max_redirects) + " redirects"}, now);
        return;
    }
    Url next;
    try {
        next = follow(url_, location);
    } catch (const Invalid& invalid) {
        answered({SYNC_JOB_HTTP_REDIRECT_REFUSED, std::string(invalid.what()).starts_with("redirect") ? invalid.what() : std::string("redirect: ") + invalid.what()}, now);
        return;
    }
    answer_->redirects++;
    answer_->status = 0;
    answer_->address.clear();
    transfer_.reset();
    begin_hop(io, std::move(next), now);
}

void Exchange::answered(Failure failure, Clock::time_point now) {
    answer_->headers = transfer_->headers();
    answer_->body = std::move(transfer_->body());
    if (const auto value = transfer_->header("Retry-After")) answer_->retry_after_ms = retry_after_ms(*value, transfer_->header("Date").value_or(""));
    end(std::move(failure), now);
    answer_->outcome = SYNC_JOB_HTTP_DEFINITE;
}

void Exchange::end(Failure failure, Clock::time_point now) {
    unanswered_ = unanswered_ || (transfer_ && transfer_->sent());
    answer_->outcome = unanswered_ ? SYNC_JOB_HTTP_UNKNOWN : SYNC_JOB_HTTP_NOT_SENT;
    answer_->failure = std::move(failure);
    if (started()) answer_->elapsed_ms = std::chrono::duration_cast<Milliseconds>(now - started_).count();
    transfer_.reset();
    lookup_.reset();
    done_ = true;
}

}  // namespace sync_job::http
