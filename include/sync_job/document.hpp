// Documents as a native controller reads and writes them: part of <sync_job/controller.hpp>.
//
//     std::string name = source.get<std::string>("name");         // throws an Error if it is NULL or not a text
//     auto credit = source.get<std::optional<double>>("credit");  // NULL: nothing
//     target["customer_name"] = name;
//     target["territory"] = source["territory"];
//     target["closed_on"] = nullptr;
//     nlohmann::json all = source.to_json();
//
// A document, its values and all their string_views live until the hook returns.
#pragma once

#include <sync_job/abi.h>

#include <charconv>
#include <chrono>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace sync_job {
inline namespace v1 {

using json = nlohmann::json;
using Bytes = std::vector<unsigned char>;

// The error of a job. If a hook throws it, the attempt ends. So does any other exception, and its type is then put before its message.
class Error : public std::runtime_error {
public:
    explicit Error(const std::string& message) : std::runtime_error(message) {}
    Error(std::string sqlstate, const std::string& message) : std::runtime_error(message), sqlstate_(std::move(sqlstate)) {}
    Error& detail(std::string text) {
        detail_ = std::move(text);
        return *this;
    }
    Error& hint(std::string text) {
        hint_ = std::move(text);
        return *this;
    }
    const std::string& sqlstate() const noexcept { return sqlstate_; }
    const std::string& detail() const noexcept { return detail_; }
    const std::string& hint() const noexcept { return hint_; }

private:
    std::string sqlstate_ = "38000", detail_, hint_;  // external_routine_exception
};

// An error that the server raised: a failed statement, or a cancellation. If you catch it and go on, the next call throws it again, and the
// attempt fails anyway. The exception: rolling back a Savepoint that began before the error.
class ServerError : public Error {
public:
    using Error::Error;
};

namespace detail {

inline sync_job_text text(std::string_view view) { return {view.data() == nullptr ? "" : view.data(), view.size()}; }
inline std::string_view view(sync_job_text given) {
    return given.data == nullptr ? std::string_view() : std::string_view(given.data, given.size);
}

// The host, during one call.
struct Host {
    const sync_job_api* api = nullptr;
    sync_job_host* host = nullptr;

    void check(std::int32_t code) const {
        if (code != SYNC_JOB_OK) raise();
    }
    [[noreturn]] void raise() const {
        sync_job_error error{};
        api->last_error(host, &error);
        ServerError raised(std::string(view(error.sqlstate)), std::string(view(error.message)));
        raised.detail(std::string(view(error.detail))).hint(std::string(view(error.hint)));
        throw raised;
    }
    const char* keep(std::string_view bytes) const {
        void* copy = nullptr;
        check(api->allocate(host, bytes.size() + 1, &copy));
        std::memcpy(copy, bytes.data(), bytes.size());
        return static_cast<const char*>(copy);
    }
};

template <class T>
struct is_optional : std::false_type {};
template <class T>
struct is_optional<std::optional<T>> : std::true_type {};

template <class T>
struct is_time : std::false_type {};
template <class D>
struct is_time<std::chrono::sys_time<D>> : std::true_type {};

using Day = std::chrono::sys_days;
using Time = std::chrono::sys_time<std::chrono::microseconds>;

inline sync_job_value value_of(std::int64_t number, sync_job_kind kind) { return {number, nullptr, kind, 1}; }
inline sync_job_value value_of(std::string_view text, sync_job_kind kind) {
    return {static_cast<std::int64_t>(text.size()), text.data() == nullptr ? "" : text.data(), kind, 1};
}
inline double double_of(std::int64_t bits) {
    double number;
    std::memcpy(&number, &bits, sizeof(number));
    return number;
}

// Converts a C++ value. The texts of the result are those of the argument, or are in `storage`.
template <class T>
sync_job_value to_value(const T& given, std::string& storage) {
    if constexpr (is_optional<T>::value) {
        return given ? to_value(*given, storage) : value_of(0, SYNC_JOB_NULL);
    } else if constexpr (std::is_same_v<T, std::nullptr_t> || std::is_same_v<T, std::nullopt_t>) {
        return value_of(0, SYNC_JOB_NULL);
    } else if constexpr (std::is_same_v<T, bool>) {
        return value_of(given ? 1 : 0, SYNC_JOB_BOOLEAN);
    } else if constexpr (std::is_integral_v<T>) {
        if (!std::in_range<std::int64_t>(given)) throw Error("22003", "an integer is out of range");
        return value_of(static_cast<std::int64_t>(given), SYNC_JOB_INTEGER);
    } else if constexpr (std::is_floating_point_v<T>) {
        auto number = static_cast<double>(given);
        std::int64_t bits;
        std::memcpy(&bits, &number, sizeof(bits));
        return value_of(bits, SYNC_JOB_FLOAT);
    } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
        return value_of(std::string_view(given), SYNC_JOB_TEXT);
    } else if constexpr (std::is_same_v<T, Bytes>) {
        return value_of(std::string_view(reinterpret_cast<const char*>(given.data()), given.size()), SYNC_JOB_BYTES);
    } else if constexpr (std::is_same_v<T, Day>) {
        return value_of(static_cast<std::int64_t>(given.time_since_epoch().count()), SYNC_JOB_DATE);
    } else if constexpr (is_time<T>::value) {
        auto time = std::chrono::floor<std::chrono::microseconds>(given);
        return value_of(static_cast<std::int64_t>(time.time_since_epoch().count()), SYNC_JOB_TIMESTAMP);
    } else {
        static_assert(std::is_constructible_v<json, const T&>, "no type for a column, and none that nlohmann::json takes");
        const json document(given);
        if (document.is_null()) return value_of(0, SYNC_JOB_NULL);
        storage = document.dump();
        return value_of(storage, SYNC_JOB_JSON);
    }
}

}  // namespace detail

// One column of a document, for reading.
class Value {
public:
    Value(const detail::Host& host, const sync_job_row* row, std::size_t column) : host_(host), row_(row), column_(column) {}

    bool is_null() const { return stored().kind == SYNC_JOB_NULL; }
    template <class T>
    T get() const;
    template <class T>
    T value_or(T otherwise) const {
        return is_null() ? std::move(otherwise) : get<T>();
    }
    // Like to_jsonb() in SQL.
    json to_json() const;

    const sync_job_value& stored() const { return row_->values[column_]; }
    const sync_job_row* row() const { return row_; }
    std::size_t column() const { return column_; }
    // The text form of a value of any type, as the type prints it.
    std::string_view text() const { return printed(0); }
    std::string_view name() const { return detail::view(row_->columns->columns[column_].name); }

private:
    std::string_view printed(std::uint32_t as_json) const {
        sync_job_text out{};
        host_.check(host_.api->text_of(host_.host, row_, column_, as_json, &out));
        return detail::view(out);
    }
    std::string_view bytes() const { return {stored().data, static_cast<std::size_t>(stored().number)}; }
    Bytes bytes_of_hex() const {
        std::string_view hex = text();
        if (!hex.starts_with("\\x")) refuse("bytes");
        Bytes read((hex.size() - 2) / 2);
        for (std::size_t i = 0; i < read.size(); i++) std::from_chars(&hex[2 + 2 * i], &hex[2 + 2 * i] + 2, read[i], 16);
        return read;
    }
    template <class T>
    T number() const;
    [[noreturn]] void refuse(const char* wanted) const {
        throw Error("42804", "column \"" + std::string(name()) + "\" is " + (is_null() ? "null" : "of another type") + ", not " + wanted);
    }

    detail::Host host_;
    const sync_job_row* row_;
    std::size_t column_;
};

template <class T>
T Value::number() const {
    const sync_job_value& value = stored();
    if constexpr (std::is_integral_v<T>) {
        std::int64_t number = value.number;
        if (value.kind == SYNC_JOB_OTHER) {
            std::string_view digits = text();
            auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
            if (error != std::errc() || end != digits.data() + digits.size()) refuse("an integer");
        } else if (value.kind != SYNC_JOB_INTEGER) {
            refuse("an integer");
        }
        if (!std::in_range<T>(number)) throw Error("22003", "column \"" + std::string(name()) + "\" is out of range: " + std::to_string(number));
        return static_cast<T>(number);
    } else {
        if (value.kind == SYNC_JOB_FLOAT) return static_cast<T>(detail::double_of(value.number));
        if (value.kind == SYNC_JOB_INTEGER) return static_cast<T>(value.number);
        if (value.kind != SYNC_JOB_OTHER) refuse("a number");
        std::string_view digits = text();
        double number = 0;
        auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
        if (error != std::errc() || end != digits.data() + digits.size()) refuse("a number");
        return static_cast<T>(number);
    }
}

template <class T>
T Value::get() const {
    const sync_job_value& value = stored();
    if constexpr (detail::is_optional<T>::value) {
        if (value.kind == SYNC_JOB_NULL) return std::nullopt;
        return get<typename T::value_type>();
    } else if constexpr (std::is_same_v<T, json>) {
        return to_json();
    } else if constexpr (std::is_same_v<T, bool>) {
        if (value.kind != SYNC_JOB_BOOLEAN) refuse("a boolean");
        return value.number != 0;
    } else if constexpr (std::is_arithmetic_v<T>) {
        return number<T>();
    } else if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, std::string_view>) {
        if (value.kind == SYNC_JOB_NULL) refuse("a text");
        return T(value.kind == SYNC_JOB_TEXT ? bytes() : text());
    } else if constexpr (std::is_same_v<T, Bytes>) {
        if (value.kind == SYNC_JOB_OTHER) return bytes_of_hex();  // a large one
        if (value.kind != SYNC_JOB_BYTES) refuse("bytes");
        std::string_view view = bytes();
        return Bytes(view.begin(), view.end());
    } else if constexpr (std::is_same_v<T, detail::Day>) {
        if (value.kind != SYNC_JOB_DATE) refuse("a date");
        if (!std::in_range<int>(value.number)) throw Error("22008", "column \"" + std::string(name()) + "\" is infinite");
        return detail::Day(std::chrono::days(static_cast<int>(value.number)));
    } else {
        static_assert(std::is_same_v<T, detail::Time>, "no type to read a column as");
        if (value.kind != SYNC_JOB_TIMESTAMP) refuse("a timestamp");
        return detail::Time(std::chrono::microseconds(value.number));
    }
}

inline json Value::to_json() const {
    const sync_job_value& value = stored();
    switch (value.kind) {
        case SYNC_JOB_NULL:
            return nullptr;
        case SYNC_JOB_BOOLEAN:
            return value.number != 0;
        case SYNC_JOB_INTEGER:
            return value.number;
        default:
            return json::parse(printed(1));
    }
}

// One column of a target, for writing.
class Field : public Value {
public:
    Field(const detail::Host& host, sync_job_row* row, std::size_t column) : Value(host, row, column), host_(host), row_(row), column_(column) {}

    template <class T>
    Field& operator=(const T& given) {
        if constexpr (std::is_base_of_v<Value, T>) {
            copy(given);
        } else {
            std::string storage;
            put(detail::to_value(given, storage));
        }
        return *this;
    }
    Field& operator=(const Field& other) {
        copy(other);
        return *this;
    }
    Field(const Field&) = default;

private:
    void put(sync_job_value value) {
        if (value.data != nullptr) value.data = host_.keep({value.data, static_cast<std::size_t>(value.number)});
        row_->values[column_] = value;
    }
    // Copies texts, and values of types that have no C++ form, without converting them.
    void copy(const Value& other) {
        sync_job_value value = other.stored();
        bool untouched = value.set == 0 && (value.data != nullptr || value.kind == SYNC_JOB_OTHER);
        if (untouched && other.row()->lasts != 0) {
            row_->values[column_] = {static_cast<std::int64_t>(other.column()), static_cast<const char*>(other.row()->stored), SYNC_JOB_OTHER, 1};
            return;
        }
        if (untouched) {
            std::string_view text = value.kind == SYNC_JOB_OTHER ? other.text() : std::string_view(value.data, static_cast<std::size_t>(value.number));
            return put(detail::value_of(text, value.kind == SYNC_JOB_BYTES ? SYNC_JOB_BYTES : SYNC_JOB_TEXT));
        }
        value.set = 1;
        row_->values[column_] = value;  // what was set before is in the host's memory
    }

    detail::Host host_;
    sync_job_row* row_;
    std::size_t column_;
};

// A row, or none: the job names no source, or the target does not exist.
class Document {
public:
    Document(const detail::Host& host, sync_job_row* row) : host_(host), row_(row) {}

    explicit operator bool() const { return row_ != nullptr && row_->stored != nullptr; }
    // Whether it is a target that is being inserted.
    bool is_new() const { return row_ != nullptr && row_->is_new != 0; }

    bool has(std::string_view column) const { return find(column) != none; }
    Value at(std::string_view column) const {
        std::size_t found = index(column);
        return Value(host_, loaded(), found);
    }
    Value operator[](std::string_view column) const { return at(column); }
    Field operator[](std::string_view column) {
        std::size_t found = index(column);
        loaded();
        return Field(host_, row_, found);
    }
    template <class T>
    T get(std::string_view column) const {
        return at(column).get<T>();
    }
    template <class T>
    void set(std::string_view column, const T& value) {
        (*this)[column] = value;
    }
    bool is_null(std::string_view column) const { return at(column).is_null(); }

    std::vector<std::string_view> columns() const {
        std::vector<std::string_view> names;
        for (std::size_t i = 0; i < count(); i++) {
            if (row_->columns->columns[i].name.size > 0) names.push_back(detail::view(row_->columns->columns[i].name));
        }
        return names;
    }
    json to_json() const {
        json object = json::object();
        for (std::string_view column : columns()) object[std::string(column)] = at(column).to_json();
        return object;
    }
    // Sets the columns that the object names.
    void from_json(const json& object) {
        for (const auto& [column, value] : object.items()) set(column, value);
    }

private:
    static constexpr std::size_t none = std::numeric_limits<std::size_t>::max();

    std::size_t count() const { return row_ == nullptr ? 0 : row_->columns->count; }
    // Controllers ask for columns more or less in their order, so it starts looking after the last one it found.
    std::size_t find(std::string_view name) const {
        std::size_t all = count();
        for (std::size_t i = 0; i < all; i++) {
            std::size_t at = next_ + i < all ? next_ + i : next_ + i - all;
            if (detail::view(row_->columns->columns[at].name) != name) continue;
            next_ = at + 1 == all ? 0 : at + 1;
            return at;
        }
        return none;
    }
    std::size_t index(std::string_view name) const {
        if (!*this) throw Error("22004", "there is no document to take column \"" + std::string(name) + "\" from");
        std::size_t found = name.empty() ? none : find(name);
        if (found == none) throw Error("42703", "column \"" + std::string(name) + "\" does not exist");
        return found;
    }
    const sync_job_row* loaded() const {
        if (row_->values == nullptr) host_.check(host_.api->load(host_.host, row_));
        return row_;
    }

    detail::Host host_;
    sync_job_row* row_;
    mutable std::size_t next_ = 0;
};

}  // namespace v1
}  // namespace sync_job
