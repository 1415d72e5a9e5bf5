#include "answer.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <ctime>

namespace sync_job::http {

namespace {

constexpr int64_t longest_wait_s = INT32_MAX;

}  // namespace

const SyncJobHttpAnswer* Answer::seen_from_c() {
    c_headers_.clear();
    for (const Header& header : headers) c_headers_.push_back({text_from(header.name), text_from(header.value), 0});
    c_ = {.id = id_,
          .outcome = outcome,
          .error = failure.error,
          .error_text = text_from(failure.text),
          .status = status,
          .redirects = redirects,
          .headers = c_headers_.data(),
          .header_count = c_headers_.size(),
          .body = text_from(body),
          .retry_after_ms = retry_after_ms,
          .elapsed_ms = elapsed_ms,
          .address = text_from(address)};
    return &c_;
}

int64_t retry_after_ms(const std::string& value, const std::string& server_date) {
    int64_t seconds = 0;
    const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
    if (!value.empty() && std::ranges::all_of(value, is_digit)) {
        if (std::from_chars(value.data(), value.data() + value.size(), seconds).ec != std::errc()) seconds = longest_wait_s;  // the number is too long
    } else {
        const time_t then = curl_getdate(value.c_str(), nullptr);
        if (then < 0) return -1;
        const time_t server_now = curl_getdate(server_date.c_str(), nullptr);
        seconds = then - (server_now < 0 ? time(nullptr) : server_now);
    }
    return std::clamp<int64_t>(seconds, 0, longest_wait_s) * 1000;
}

}  // namespace sync_job::http
