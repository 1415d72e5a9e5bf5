// Slows down who guesses passwords: by address and by role. Nobody is locked out: from another address the role's own delay is short.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "serve/async.hpp"

namespace sync_job::serve {

class LoginDelay {
public:
    // An attempt that is under way; it begins when its turn has come.
    class Attempt {
    public:
        Attempt(LoginDelay& delay, std::string address, std::string role);
        Attempt(const Attempt&) = delete;
        ~Attempt();

        // False: too many attempts of this address wait already.
        Async<bool> turn();
        void failed();

    private:
        LoginDelay& delay_;
        const std::string address_, role_;
        bool counted_ = false, connecting_ = false;
    };

private:
    struct Record {
        int failures = 0, under_way = 0;
        bool connecting = false;
        Clock::time_point last;  // when the last one failed
    };

    static void forget_old(std::map<std::string, Record>& records);
    static Clock::duration delay_after(const Record& record, Clock::duration most);

    std::map<std::string, Record> addresses_, roles_;
    int connecting_ = 0;
    Event done_;
};

}  // namespace sync_job::serve
