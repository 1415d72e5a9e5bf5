// Secrets in texts that somebody else has written: an API that quotes a request may return them, in whatever encoding. Plain C++.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sync_job {

// Finds a secret as it is; percent-encoded, or escaped as in JSON or HTML, in any mixture; in hexadecimal; in base64, by itself or within
// something longer, such as user:password. If the secret is itself base64 or a pair user:password, also finds what it decodes to, and the
// password. Letters in either case.
class SecretFilter {
public:
    SecretFilter() = default;
    // By name. Secrets shorter than six bytes are not looked for: they would remove much of an ordinary text.
    explicit SecretFilter(const std::map<std::string, std::string>& secrets);

    // Replaces them by "(secret NAME)". `cut`: the text may end in the middle of one. If that would take too long, which somebody who
    // controls both the secret and the server can bring about, nothing of the text is left.
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
