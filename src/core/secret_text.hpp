// Secrets in texts that somebody else has written: an API that quotes a request may say them back in whatever encoding. Plain C++.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sync_job {

// Finds a secret as it is; percent-encoded, escaped as in JSON or HTML, in any mixture; in hexadecimal; in base64, by itself or within something longer
// such as user:password. Of one that is base64, or a pair user:password, also what it stands for, and the password. Letters in either case.
class SecretFilter {
public:
    SecretFilter() = default;
    // By name. Shorter ones than six bytes would take every other letter away, and are not looked for.
    explicit SecretFilter(const std::map<std::string, std::string>& secrets);

    // Puts "(secret NAME)" in their place. `cut`: the text may end in the middle of one. Where that would take too long, as whoever has
    // both the secret and the server may bring about, nothing of the text is left.
    void hide(std::string& text, bool cut = false) const;

private:
    struct Form {
        std::string name, bytes;
    };
    void add(const std::string& name, std::string_view secret);
    void add_form(const std::string& name, std::string bytes);

    std::vector<Form> forms_;
};

}  // namespace sync_job
