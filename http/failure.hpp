// What went wrong, in the terms of transport.h.
#pragma once

#include <stdexcept>
#include <string>

#include "transport.h"

namespace sync_job::http {

struct Failure {
    SyncJobHttpError error = SYNC_JOB_HTTP_OK;
    std::string text;
};

// What the caller has given cannot be sent.
class Invalid : public std::runtime_error {
public:
    explicit Invalid(const std::string& text, SyncJobHttpError error = SYNC_JOB_HTTP_INVALID) : std::runtime_error(text), error(error) {}
    const SyncJobHttpError error;
};

inline std::string text_of(const SyncJobHttpText& text) { return text.length > 0 ? std::string(text.data, text.length) : std::string(); }
inline SyncJobHttpText text_from(const std::string& text) { return {text.data(), text.size()}; }

}  // namespace sync_job::http
