// Slows down password guessing: by address and by role. Nobody is locked out: from another address the delay of the role is short and
// counts only once, and failures elsewhere hold nobody up.
#pragma once

#include <list>
#include <map>
#include <string>

#include "serve/async.hpp"

namespace sync_job::serve {

class LoginDelay {
    struct Record {
        int failures = 0, under_way = 0;
        bool connecting = false;
        Clock::time_point last;  // when the last one failed
    };

public:
    // An attempt that is under way; it begins when its turn has come.
    class Attempt {
    public:
        Attempt(LoginDelay& delay, const std::string& address, std::string role);
        Attempt(const Attempt&) = delete;
        ~Attempt();

        // False: too many attempts of this address wait already.
        Async<bool> turn();
        void failed();

    private:
        friend LoginDelay;
        Clock::time_point earliest() const;

        LoginDelay& delay_;
        const std::string network_, role_;
        Record* of_network_ = nullptr;  // the record stays while this is under way
        Clock::time_point role_lets_in_;
        bool connecting_ = false;
    };

private:
    using Records = std::map<std::string, Record>;

    static void make_room(Records& records);
    static Clock::time_point end_of_delay(const Record& record, Clock::duration most);
    const Attempt* next(Clock::time_point now) const;

    Records networks_, roles_;
    std::list<Attempt*> waiting_;  // in the order in which they came
    int connecting_ = 0;
    bool first_come_ = false;  // the next one is the one that came first
    Event done_;
};

}  // namespace sync_job::serve
