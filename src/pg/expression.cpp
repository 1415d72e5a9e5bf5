#include "pg/expression.hpp"

#include "pg/server.hpp"

extern "C" {
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
}

#include "pg/error.hpp"

namespace sync_job::pg {

namespace {

struct Reading {
    const char* row;
    List* names = NIL;  // C strings
    bool all = false;
};

// Handles source.a, a, source and source.*; a reference with more parts may mean anything.
void read_column_reference(const ColumnRef* reference, Reading* reading) {
    int parts = list_length(reference->fields);
    Node* first = static_cast<Node*>(linitial(reference->fields));
    Node* last = static_cast<Node*>(llast(reference->fields));
    if (parts > 2 || !IsA(first, String) || !IsA(last, String)) {
        reading->all = true;
        return;
    }
    bool is_row = std::strcmp(strVal(first), reading->row) == 0;
    if (parts == 1 && is_row) reading->all = true;
    if (parts == 1 || is_row) reading->names = lappend(reading->names, strVal(last));
}

bool read_node(Node* node, void* context) {
    if (node == nullptr) return false;
    auto* reading = static_cast<Reading*>(context);
    if (IsA(node, SubLink)) reading->all = true;
    if (IsA(node, ColumnRef)) read_column_reference(castNode(ColumnRef, node), reading);
    return reading->all || raw_expression_tree_walker(node, SYNC_JOB_WALKER(read_node), context);
}

// Collects all names that are used to refer to columns.
bool collect_names(Node* node, void* names) {
    if (node == nullptr) return false;
    if (IsA(node, ColumnRef)) {
        auto* found = static_cast<List**>(names);
        List* fields = castNode(ColumnRef, node)->fields;
        Node* first = static_cast<Node*>(linitial(fields));
        if (IsA(first, String)) *found = lappend(*found, strVal(first));
    }
    return raw_expression_tree_walker(node, SYNC_JOB_WALKER(collect_names), names);
}

}  // namespace

bool mentions(const std::string& expression, const std::set<std::string>& names) {
    List* found = NIL;
    guarded([&] {
        char* sql = psprintf("SELECT (%s\n)", expression.c_str());
        collect_names(linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT))->stmt, &found);
    });
    for (int i = 0; i < list_length(found); i++) {
        if (names.contains(static_cast<char*>(list_nth(found, i)))) return true;
    }
    return false;
}

NamesRead names_read(const std::string& expression, const std::string& row) {
    Reading reading{row.c_str()};
    guarded([&] {
        char* sql = psprintf("SELECT (%s\n)", expression.c_str());
        read_node(linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT))->stmt, &reading);
    });
    NamesRead found;
    found.all = reading.all;
    for (int i = 0; i < list_length(reading.names); i++) found.names.insert(static_cast<char*>(list_nth(reading.names, i)));
    return found;
}

}  // namespace sync_job::pg
