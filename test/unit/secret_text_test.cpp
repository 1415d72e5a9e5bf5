#include "core/secret_text.hpp"

#include <gtest/gtest.h>

using namespace sync_job;

namespace {

std::string hidden(const std::string& text, const std::map<std::string, std::string>& secrets, bool cut = false) {
    std::string result = text;
    SecretFilter(secrets).hide(result, cut);
    return result;
}

const std::map<std::string, std::string> one = {{"key", "p\xc3\xa4ss/w\"rd&1"}};

}  // namespace

TEST(SecretText, Encodings) {
    for (const char* said : {
             "p\xc3\xa4ss/w\"rd&1",                                // as it is
             "P\xc3\xa4SS/W\"RD&1",                                // in capitals
             "p%C3%A4ss%2Fw%22rd%261", "p%c3%a4ss/w%22rd&1",       // all that must be, or some of it
             "%70%c3%a4%73%73%2f%77%22%72%64%26%31",               // each byte
             "p%25C3%25A4ss%252Fw%2522rd%25261",                   // twice
             "p\xc3\xa4ss\\/w\\\"rd&1", "p\\u00e4ss\\/w\\u0022rd\\u00261",  // JSON
             "p\\u00c3\\u00a4ss/w\\\"rd&1", "p\xc3\x83\xc2\xa4ss/w\"rd&1",  // taken for Latin-1
             "p\xc3\xa4ss/w&quot;rd&amp;1", "p&#228;ss&#x2F;w&#34;rd&#x26;1",  // HTML
             "70c3a473732f772272642631", "70C3A473732F772272642631",  // hexadecimal
             "cMOkc3MvdyJyZCYx",                                   // base64
         }) {
        EXPECT_EQ(hidden(std::string("before ") + said + " after", one), "before (secret key) after") << said;
    }
    EXPECT_EQ(hidden("nothing of p\xc3\xa4ss/w\"rd", one), "nothing of p\xc3\xa4ss/w\"rd");
    EXPECT_EQ(hidden("", one), "");
}

TEST(SecretText, Base64) {
    // Of "u:", "us:" and "usr:" followed by the secret: whatever stands before it.
    for (const char* said : {"dTpwYXNzd29yZC0xMjM0", "dXM6cGFzc3dvcmQtMTIzNA==", "dXNyOnBhc3N3b3JkLTEyMzQ="}) {
        std::string left = hidden(said, {{"key", "password-1234"}});
        EXPECT_NE(left.find("(secret key)"), std::string::npos) << left;
        EXPECT_LE(left.size(), std::string("(secret key)").size() + 9) << left;
    }
    // One that is base64 of user:password itself.
    const std::map<std::string, std::string> basic = {{"basic", "am9lOnBhc3N3b3JkLTEyMzQ="}};
    EXPECT_EQ(hidden("joe:password-1234", basic), "(secret basic)");
    EXPECT_EQ(hidden("user joe, password password-1234", basic), "user joe, password (secret basic)");
    EXPECT_EQ(hidden("Basic am9lOnBhc3N3b3JkLTEyMzQ=", basic), "Basic (secret basic)");
    // With + and /, and with - and _ in their place.
    const std::map<std::string, std::string> bytes = {{"key", "\xfb\xff\xbf\xfb\xff\xbf\xfb"}};
    EXPECT_EQ(hidden("+/+/+/+/", {{"key", "\xfb\xff\xbf\xfb\xff\xbf"}}), "(secret key)");
    EXPECT_EQ(hidden("-_-_-_-_", {{"key", "\xfb\xff\xbf\xfb\xff\xbf"}}), "(secret key)");
    EXPECT_EQ(hidden("fbffbffbffbffb", bytes), "(secret key)");
}

// Who has both the secret and the server makes the most of it: no deep recursion, and an end.
TEST(SecretText, LongOnes) {
    auto repeated = [](std::string_view what, std::size_t times) {
        std::string text;
        while (times-- > 0) text += what;
        return text;
    };
    EXPECT_EQ(hidden(repeated("%25", 300'000), {{"key", repeated("%", 300'000)}}), "(secret key)");
    EXPECT_EQ(hidden(repeated("&amp;", 200'000), {{"key", repeated("&", 200'000)}}), "(secret key)");
    EXPECT_EQ(hidden(repeated("%25", 300'000), {{"key", repeated("%", 300'001)}}), "(withheld: it takes too long to look for secrets in it)");
    EXPECT_EQ(hidden(repeated("a", 1'000'000), {{"key", repeated("a", 500'000) + "b"}}), "(withheld: it takes too long to look for secrets in it)");
    std::string ordinary = repeated("an ordinary text, 100% of it & more ", 30'000);
    EXPECT_EQ(hidden(ordinary, {{"key", "an ordinary secret"}, {"other", "100% of it % more"}}), ordinary);
}

TEST(SecretText, Places) {
    EXPECT_EQ(hidden("secret-1secret-1 x secret-2", {{"a", "secret-1"}, {"b", "secret-2"}}), "(secret a)(secret a) x (secret b)");
    EXPECT_EQ(hidden("secret-1-longer", {{"a", "secret-1"}, {"b", "secret-1-longer"}}), "(secret b)");
    EXPECT_EQ(hidden("short", {{"a", "short"}}), "short");
    EXPECT_EQ(hidden("cut in secret-", {{"a", "secret-1234"}}), "cut in secret-");
    EXPECT_EQ(hidden("cut in secret-", {{"a", "secret-1234"}}, true), "cut in (secret a)");
    EXPECT_EQ(hidden("100% of \\ and & at the end %", {{"a", "%%%%%%"}}), "100% of \\ and & at the end %");
    EXPECT_EQ(hidden("a+b+c+d and a b c d", {{"a", "a b c d"}}), "(secret a) and (secret a)");
}
