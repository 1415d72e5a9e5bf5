#include "core/http_text.hpp"

#include <gtest/gtest.h>

using namespace sync_job;

TEST(HttpText, EndpointUrls) {
    auto url = parse_endpoint_url("HTTPS://Shop.Example.com:8443/");
    ASSERT_TRUE(url);
    EXPECT_EQ(url->scheme, "https");
    EXPECT_EQ(url->host, "shop.example.com");
    EXPECT_EQ(url->port, 8443);
    EXPECT_EQ(parse_endpoint_url("http://127.0.0.1")->port, 0);
    EXPECT_EQ(parse_endpoint_url("http://[2001:db8::1]:80")->host, "[2001:db8::1]");
    for (const char* wrong : {"", "shop.example.com", "ftp://shop", "https://", "https://shop/api", "https://shop?x", "https://a@shop", "https://shop:0", "https://shop:99999",
                              "https://shop:x", "https://[::1", "https://[]", "https://sh op", "https://shop\r\nX: y"}) {
        EXPECT_FALSE(parse_endpoint_url(wrong)) << wrong;
    }
}

TEST(HttpText, Encoding) {
    EXPECT_EQ(percent_encoded("aZ09-._~"), "aZ09-._~");
    EXPECT_EQ(percent_encoded("a/b c?d#e&f=g%\r\n\xc3\xbc"), "a%2Fb%20c%3Fd%23e%26f%3Dg%25%0D%0A%C3%BC");
    EXPECT_TRUE(is_path_text("/v1/products/%20(a,b);x=1"));
    for (const char* wrong : {"/a b", "/a?b", "/a#b", "/\r\n", "/\xc3\xbc", "/{a}"}) EXPECT_FALSE(is_path_text(wrong)) << wrong;
}

TEST(HttpText, Headers) {
    EXPECT_TRUE(is_header_name("X-Signature-256"));
    for (const char* wrong : {"", "X Y", "X:", "X\r\n", "\xc3\xbc"}) EXPECT_FALSE(is_header_name(wrong)) << wrong;
    EXPECT_TRUE(is_reserved_header("HOST"));
    EXPECT_TRUE(is_reserved_header("Content-Length"));
    EXPECT_FALSE(is_reserved_header("X-Host"));
    EXPECT_TRUE(is_header_value("Bearer a\tb \xc3\xbc"));
    EXPECT_TRUE(is_header_value(""));
    for (const char* wrong : {"a\r\nb", "a\nb", " a", "a ", "\x7f", "\x01"}) EXPECT_FALSE(is_header_value(wrong)) << wrong;
}
