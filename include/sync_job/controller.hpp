// A native controller for pg_sync_job: derive from sync_job::Controller, override hooks, register.
//
//     #include <sync_job/controller.hpp>
//
//     struct Customers : sync_job::Controller {
//         void update_target_doc(const sync_job::Job&, const sync_job::Document& source, sync_job::Document& target) override {
//             target["customer_name"] = source["name"];
//         }
//     };
//     SYNC_JOB_CONTROLLER(Customers)
//
// Compile with -std=c++20 -fPIC -fvisibility=hidden and link with -shared and --version-script=exports.map (the file beside this one), or
// use find_package(sync_job) in CMake. Put the library into the folder named by the setting sync_job.library_directory; a superuser then
// sets sync_job_type.library to its name without ".so". docs/native.md has the details.
//
// There is one controller object per process and job type, created when it is first needed. It can be re-entered while it runs: by a job
// that runs inside one of its own jobs. It must not start threads, and must not keep documents or anything else of the host beyond a hook.
#pragma once

#include <cxxabi.h>

#include <cstdlib>
#include <iterator>
#include <memory>
#include <sync_job/document.hpp>

namespace sync_job {
inline namespace v1 {

// The job that is running: its row in table sync_job.
class Job : public Document {
public:
    using Document::Document;
    std::int64_t id() const { return get<std::int64_t>("id"); }
    std::string type() const { return get<std::string>("sync_job_type"); }
    std::optional<std::string> source_document_name() const { return get<std::optional<std::string>>("source_document_name"); }
    bool dry_run() const { return get<bool>("dry_run"); }
    // An empty object if the job has no context.
    json context() const {
        Value given = at("context");
        return given.is_null() ? json::object() : given.to_json();
    }
};

enum class Operation { insert, update, remove };

// The document that a job writes.
struct Target {
    Operation operation = Operation::insert;
    std::string document_name;  // for an update or a delete; for an insert, if the key is known
    std::string document_type;  // empty: as the job type says
    std::optional<json> context;  // replaces the job's

    static Target insert(std::string name = {}) { return {Operation::insert, std::move(name), {}, {}}; }
    static Target update(std::string name) { return {Operation::update, std::move(name), {}, {}}; }
    static Target remove(std::string name) { return {Operation::remove, std::move(name), {}, {}}; }
};

// The rows that a statement returned. They live as long as this object.
class Rows {
public:
    Rows(const detail::Host& host, sync_job_rows rows) : host_(host), rows_(rows) {}
    ~Rows() {
        if (rows_.stored != nullptr) host_.api->free_rows(host_.host, &rows_);
    }
    Rows(Rows&& other) noexcept : host_(other.host_), rows_(std::exchange(other.rows_, {})) {}
    Rows(const Rows&) = delete;
    Rows& operator=(const Rows&) = delete;
    Rows& operator=(Rows&&) = delete;

    std::size_t size() const { return rows_.count; }
    bool empty() const { return size() == 0; }
    std::uint64_t affected() const { return rows_.affected; }
    const Document operator[](std::size_t number) const {
        if (number >= size()) throw Error("22003", "the query gave " + std::to_string(size()) + " rows");
        return Document(host_, &rows_.rows[number]);
    }
    class Iterator {
    public:
        Iterator(const Rows* rows, std::size_t at) : rows_(rows), at_(at) {}
        const Document operator*() const { return (*rows_)[at_]; }
        Iterator& operator++() {
            at_++;
            return *this;
        }
        bool operator!=(const Iterator& other) const { return at_ != other.at_; }

    private:
        const Rows* rows_;
        std::size_t at_;
    };
    Iterator begin() const { return {this, 0}; }
    Iterator end() const { return {this, size()}; }

private:
    detail::Host host_;
    sync_job_rows rows_;
};

// Destroyed without release(), it undoes everything done since it began. An error of the server since then is forgotten, too.
class Savepoint {
public:
    explicit Savepoint(const detail::Host& host) : host_(host) { host_.check(host_.api->begin_savepoint(host_.host)); }
    ~Savepoint() {
        if (open_) host_.api->end_savepoint(host_.host, 0);
    }
    Savepoint(const Savepoint&) = delete;
    Savepoint& operator=(const Savepoint&) = delete;
    void release() { end(1); }
    void rollback() { end(0); }

private:
    void end(std::uint32_t release) {
        if (!open_) throw Error("3B001", "the savepoint has ended");
        host_.check(host_.api->end_savepoint(host_.host, release));
        open_ = false;
    }

    detail::Host host_;
    bool open_ = true;
};

// Many documents at once. Each has its job, its source and its target: the current one, or a new one with the values of match.
class Batch {
public:
    struct Item {
        Job job;
        const Document source;
        Document target;
    };
    Batch(const detail::Host& host, const sync_job_call& call) : host_(host), call_(&call) {}
    std::size_t size() const { return call_->count; }
    Item operator[](std::size_t number) const {
        return {Job(host_, &call_->jobs[number]), Document(host_, &call_->sources[number]), Document(host_, &call_->targets[number])};
    }
    class Iterator {
    public:
        Iterator(const Batch* batch, std::size_t at) : batch_(batch), at_(at) {}
        Item operator*() const { return (*batch_)[at_]; }
        Iterator& operator++() {
            at_++;
            return *this;
        }
        bool operator!=(const Iterator& other) const { return at_ != other.at_; }

    private:
        const Batch* batch_;
        std::size_t at_;
    };
    Iterator begin() const { return {this, 0}; }
    Iterator end() const { return {this, size()}; }

private:
    detail::Host host_;
    const sync_job_call* call_;
};

namespace detail {
struct Entry;
}

class Controller {
public:
    virtual ~Controller() = default;

    // Which target belongs to the source; nothing: none. Not called if the job type has a `match`.
    virtual std::optional<Target> get_target_document(const Job&, const Document& /*source*/) { return std::nullopt; }
    // Instead of get_target_document(): no, one or several targets. With several, each gets a job of its own.
    virtual std::vector<Target> get_multiple_target_documents(const Job&, const Document& /*source*/) { return {}; }

    // Fills in the target from the source. `target` is the current document, or a new one.
    virtual void update_target_doc(const Job&, const Document& /*source*/, Document& /*target*/) {}
    // Instead of update_target_doc(), for many documents at once. Only for job types with a `match`.
    virtual void update_many(Batch& batch) {
        for (Batch::Item item : batch) update_target_doc(item.job, item.source, item.target);
    }

    // Instead of all the others: does everything itself. It returns an object with target_document_type, target_document_name, operation
    // and diff, all optional.
    virtual json execute(const Job&, const Document& /*source*/) { return nullptr; }

    virtual void after_start(const Job&, const Document& /*source*/) {}
    // Returns the list of targets, unchanged or changed.
    virtual json before_relay(const Job&, const Document& /*source*/, const json& targets) { return targets; }
    virtual void after_relay(const Job&, const Document& /*source*/, const json& /*child_jobs*/) {}
    virtual void before_sync(const Job&, const Document& /*source*/, Document& /*target*/) {}
    virtual void after_sync(const Job&, const Document& /*source*/, const Document& /*target*/) {}
    virtual void finished(const Job&, const Document& /*source*/, const Document& /*target*/) {}
    virtual void failed(const Job&, const Document& /*source*/, const json& /*error*/) {}

protected:
    // Runs one statement. $1, $2 and so on stand for the arguments, which may be bool, integers, floating point numbers, texts, Bytes,
    // dates, json, vectors of texts or of integers, optionals of these, and nullptr. For other types write casts, as in $1::uuid.
    template <class... Arguments>
    Rows sql(std::string_view statement, const Arguments&... arguments);
    Savepoint savepoint() { return Savepoint(host_); }
    // For long loops that call nothing else of the host: raises if the job was canceled or has exceeded its time.
    void check_interrupts() { host_.check(host_.api->check_interrupts(host_.host)); }
    void progress(double percent, std::string_view title = {}, std::string_view description = {}) {
        host_.check(host_.api->progress(host_.host, percent, detail::text(title), detail::text(description)));
    }
    // To the server's log.
    void log(std::string_view message) { say(SYNC_JOB_LOG, message); }
    // Like RAISE NOTICE and RAISE WARNING. They are kept with the job if it has verbose_logging.
    void notice(std::string_view message) { say(SYNC_JOB_NOTICE, message); }
    void warning(std::string_view message) { say(SYNC_JOB_WARNING, message); }

private:
    friend struct detail::Entry;
    void say(sync_job_level level, std::string_view message) { host_.check(host_.api->log(host_.host, level, detail::text(message))); }

    detail::Host host_;  // of the call in progress
};

namespace detail {

// A parameter, and the memory it points to.
struct Argument {
    std::string storage;
    std::vector<sync_job_text> texts;
    std::vector<std::int64_t> integers;
    sync_job_value value{};

    template <class T>
    explicit Argument(const T& given) {
        if constexpr (std::is_same_v<T, std::vector<std::string>> || std::is_same_v<T, std::vector<std::string_view>>) {
            for (const auto& one : given) texts.push_back(text(one));
            value = {static_cast<std::int64_t>(texts.size()), reinterpret_cast<const char*>(texts.data()), SYNC_JOB_TEXTS, 1};
        } else if constexpr (std::is_same_v<T, std::vector<std::int64_t>> || std::is_same_v<T, std::vector<int>>) {
            integers.assign(given.begin(), given.end());
            value = {static_cast<std::int64_t>(integers.size()), reinterpret_cast<const char*>(integers.data()), SYNC_JOB_INTEGERS, 1};
        } else if constexpr (std::is_base_of_v<Value, T>) {
            value = given.stored();
            bool as_text = value.kind == SYNC_JOB_OTHER || value.kind == SYNC_JOB_DATE || value.kind == SYNC_JOB_TIMESTAMP;
            if (as_text) value = value_of(given.text(), SYNC_JOB_TEXT);
        } else {
            value = to_value(given, storage);
        }
    }
    Argument(const Argument&) = delete;
    Argument& operator=(const Argument&) = delete;
};

// Called by the C functions; calls the controller. No exception leaves it.
struct Entry {
    class Within {
    public:
        Within(Controller& controller, const Host& host) : controller_(controller), before_(std::exchange(controller.host_, host)) {}
        ~Within() { controller_.host_ = before_; }
        Within(const Within&) = delete;
        Within& operator=(const Within&) = delete;

    private:
        Controller& controller_;
        Host before_;  // a job inside a job may re-enter the controller
    };

    static std::int32_t fail(const Host& host, std::string_view sqlstate, std::string_view message, std::string_view detail, std::string_view hint) noexcept {
        sync_job_error error{text(sqlstate), text(message), text(detail), text(hint)};
        host.api->fail(host.host, &error);
        return SYNC_JOB_FAILED;
    }
    // Reports the exception that is being handled, with its type.
    static std::int32_t fail_with_type(const Host& host, const char* message) noexcept {
        const std::type_info* type = abi::__cxa_current_exception_type();
        int status = -1;
        char* name = type == nullptr ? nullptr : abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
        try {
            std::string whole = name != nullptr ? name : type != nullptr ? type->name() : "an exception of C++";
            std::free(name);
            if (message != nullptr) whole.append(": ").append(message);
            return fail(host, "38000", whole, {}, {});
        } catch (...) {
            return fail(host, "53200", "out of memory", {}, {});
        }
    }
    template <class F>
    static std::int32_t guarded(const Host& host, F&& act) noexcept {
        try {
            act();
            return SYNC_JOB_OK;
        } catch (const Error& error) {
            return fail(host, error.sqlstate(), error.what(), error.detail(), error.hint());
        } catch (const std::exception& error) {
            return fail_with_type(host, error.what());
        } catch (...) {
            return fail_with_type(host, nullptr);
        }
    }

    template <class C>
    static std::int32_t create(const sync_job_api* api, sync_job_host* host, void** controller) noexcept {
        return guarded({api, host}, [&] { *controller = static_cast<Controller*>(new C()); });
    }
    static void destroy(void* controller) noexcept { delete static_cast<Controller*>(controller); }
    static std::int32_t call(void* object, sync_job_call* call) noexcept {
        Host host{call->api, call->host};
        return guarded(host, [&] {
            auto& controller = *static_cast<Controller*>(object);
            Within within(controller, host);
            dispatch(controller, host, *call);
        });
    }

private:
    static void add(const Host& host, const Target& target) {
        static constexpr const char* words[] = {"insert", "update", "delete"};
        std::string context = target.context ? target.context->dump() : std::string();
        sync_job_target given{text(words[static_cast<int>(target.operation)]), text(target.document_type), text(target.document_name),
                              target.context ? text(context) : sync_job_text{}};
        host.check(host.api->add_target(host.host, &given));
    }
    static void answer(const Host& host, const json& result) {
        std::string printed = result.dump();
        host.check(host.api->set_result(host.host, text(printed)));
    }
    static void dispatch(Controller& controller, const Host& host, sync_job_call& call) {
        if (call.hook == SYNC_JOB_UPDATE_MANY) {
            Batch batch(host, call);
            return controller.update_many(batch);
        }
        const Job job(host, call.jobs);
        const Document source(host, call.sources);
        Document target(host, call.targets);
        json extra = call.extra.data == nullptr ? json() : json::parse(view(call.extra));
        switch (call.hook) {
            case SYNC_JOB_EXECUTE:
                return answer(host, controller.execute(job, source));
            case SYNC_JOB_GET_TARGET_DOCUMENT:
                if (auto found = controller.get_target_document(job, source)) add(host, *found);
                return;
            case SYNC_JOB_GET_MULTIPLE_TARGET_DOCUMENTS:
                for (const Target& found : controller.get_multiple_target_documents(job, source)) add(host, found);
                return;
            case SYNC_JOB_UPDATE_TARGET_DOC:
                return controller.update_target_doc(job, source, target);
            case SYNC_JOB_AFTER_START:
                return controller.after_start(job, source);
            case SYNC_JOB_BEFORE_RELAY:
                return answer(host, controller.before_relay(job, source, extra));
            case SYNC_JOB_AFTER_RELAY:
                return controller.after_relay(job, source, extra);
            case SYNC_JOB_BEFORE_SYNC:
                return controller.before_sync(job, source, target);
            case SYNC_JOB_AFTER_SYNC:
                return controller.after_sync(job, source, target);
            case SYNC_JOB_FINISHED:
                return controller.finished(job, source, target);
            case SYNC_JOB_FAILED_HOOK:
                return controller.failed(job, source, extra);
            default:
                throw Error("0A000", "hook " + std::to_string(call.hook) + " is unknown to this controller");
        }
    }
};

// An overridden hook is a member of another class than the base.
template <class Own, class Base>
constexpr std::uint64_t bit(sync_job_hook hook, Own, Base) {
    return std::is_same_v<Own, Base> ? 0 : std::uint64_t{1} << hook;
}

template <class C>
constexpr std::uint64_t hooks_of() {
    using B = Controller;
    return bit(SYNC_JOB_EXECUTE, &C::execute, &B::execute) |
           bit(SYNC_JOB_GET_TARGET_DOCUMENT, &C::get_target_document, &B::get_target_document) |
           bit(SYNC_JOB_GET_MULTIPLE_TARGET_DOCUMENTS, &C::get_multiple_target_documents, &B::get_multiple_target_documents) |
           bit(SYNC_JOB_UPDATE_TARGET_DOC, &C::update_target_doc, &B::update_target_doc) |
           bit(SYNC_JOB_UPDATE_MANY, &C::update_many, &B::update_many) |
           bit(SYNC_JOB_UPDATE_MANY, &C::update_target_doc, &B::update_target_doc) |  // the default update_many() calls it for each document
           bit(SYNC_JOB_AFTER_START, &C::after_start, &B::after_start) |
           bit(SYNC_JOB_BEFORE_RELAY, &C::before_relay, &B::before_relay) | bit(SYNC_JOB_AFTER_RELAY, &C::after_relay, &B::after_relay) |
           bit(SYNC_JOB_BEFORE_SYNC, &C::before_sync, &B::before_sync) | bit(SYNC_JOB_AFTER_SYNC, &C::after_sync, &B::after_sync) |
           bit(SYNC_JOB_FINISHED, &C::finished, &B::finished) | bit(SYNC_JOB_FAILED_HOOK, &C::failed, &B::failed);
}

template <class C>
constexpr sync_job_library library() {
    static_assert(std::is_base_of_v<Controller, C>, "a controller derives from sync_job::Controller");
    return {SYNC_JOB_ABI_MAGIC, SYNC_JOB_ABI_VERSION, sizeof(sync_job_library), hooks_of<C>(), &Entry::create<C>, &Entry::destroy, &Entry::call};
}

}  // namespace detail

template <class... Arguments>
Rows Controller::sql(std::string_view statement, const Arguments&... arguments) {
    detail::Host host = host_;
    auto run = [&](const auto&... given) {
        sync_job_value values[] = {given.value..., sync_job_value{}};
        sync_job_rows rows{};
        host.check(host.api->execute(host.host, detail::text(statement), values, sizeof...(given), &rows));
        return Rows(host, rows);
    };
    return run(detail::Argument(arguments)...);
}

}  // namespace v1
}  // namespace sync_job

// Use it once per library.
#define SYNC_JOB_CONTROLLER(Class)                                                                       \
    extern "C" {                                                                                         \
    extern __attribute__((visibility("default"))) const sync_job_library sync_job_controller;            \
    constinit const sync_job_library sync_job_controller = ::sync_job::detail::library<Class>();         \
    }
