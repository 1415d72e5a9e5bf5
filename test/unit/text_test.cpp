// Small work on text: case, quoting, joining, scrubbed names, cuts in UTF-8, titles.
#include "core/text.hpp"

#include <gtest/gtest.h>

namespace sync_job {
namespace {

TEST(Lower, TouchesOnlyAscii) {
    EXPECT_EQ(lower(""), "");
    EXPECT_EQ(lower("SAP Customer-Sync_1"), "sap customer-sync_1");
    EXPECT_EQ(lower("@[`{AZaz"), "@[`{azaz");
    EXPECT_EQ(lower("ÄÖÜ É"), "ÄÖÜ É");  // no byte of another character is taken for a letter
    EXPECT_EQ(lower(std::string_view("A\0B", 3)), std::string_view("a\0b", 3));
}

TEST(Quoted, IsAsInPostgreSQLsMessages) {
    EXPECT_EQ(quoted("customer"), "\"customer\"");
    EXPECT_EQ(quoted(""), "\"\"");
    EXPECT_EQ(quoted("a\"b"), "\"a\"b\"");  // for people to read, not for the parser: nothing is doubled
}

TEST(Join, PutsTheSeparatorBetween) {
    EXPECT_EQ(join({}, ", "), "");
    EXPECT_EQ(join({"a"}, ", "), "a");
    EXPECT_EQ(join({"a", "b", "c"}, ", "), "a, b, c");
    EXPECT_EQ(join({"a", "b"}, ""), "ab");
    EXPECT_EQ(join({"a", "", "b"}, ","), "a,,b");
}

TEST(Scrubbed, IsLowerCaseWithUnderscores) {
    EXPECT_EQ(scrubbed("SAP Customer Sync"), "sap_customer_sync");
    EXPECT_EQ(scrubbed("Two-Way Sync"), "two_way_sync");
    EXPECT_EQ(scrubbed("already_scrubbed"), "already_scrubbed");
    EXPECT_EQ(scrubbed(""), "");
}

TEST(Scrubbed, MakesOneUnderscoreOfARun) {
    EXPECT_EQ(scrubbed("Stock  -  Sync"), "stock_sync");
    EXPECT_EQ(scrubbed("Stock\t\r\nSync"), "stock_sync");
    EXPECT_EQ(scrubbed("--"), "_");
    EXPECT_EQ(scrubbed(" Stock "), "_stock_");
}

TEST(Scrubbed, LeavesOtherCharactersAlone) {
    EXPECT_EQ(scrubbed("Größe & Farbe"), "größe_&_farbe");
    EXPECT_EQ(scrubbed("A_B__C"), "a_b__c");
    EXPECT_EQ(scrubbed("Café 東京"), "café_東京");
}

TEST(Scrubbed, ChangesNothingTheSecondTime) {
    for (std::string_view name : {"SAP Customer Sync", " - x - ", "Größe", "A_B", ""})
        EXPECT_EQ(scrubbed(scrubbed(name)), scrubbed(name));
}

TEST(Title, NamesTheTargetWhereThereIsOne) {
    EXPECT_EQ(make_title("T", "customer", "C-1", "sap_customer", "7"), "customer > sap_customer: 7");
    EXPECT_EQ(make_title("T", "customer", "", "sap_customer", "7"), "customer > sap_customer: 7");
}

TEST(Title, ElseTheSource) {
    EXPECT_EQ(make_title("T", "customer", "C-1", "sap_customer", ""), "customer: C-1");
    EXPECT_EQ(make_title("T", "customer", "C-1", "", ""), "customer: C-1");
    EXPECT_EQ(make_title("T", "customer", "C-1", "", "7"), "customer: C-1");
}

TEST(Title, ElseTheSourceType) {
    EXPECT_EQ(make_title("T", "customer", "", "", ""), "customer");
    EXPECT_EQ(make_title("T", "customer", "", "sap_customer", ""), "customer");
}

TEST(Title, JobTypeStandsInForASource) {
    EXPECT_EQ(make_title("Nightly Report", "", "", "", ""), "Nightly Report");
    EXPECT_EQ(make_title("Nightly Report", "", "", "report", "2026"), "Nightly Report > report: 2026");
}

}  // namespace
}  // namespace sync_job
