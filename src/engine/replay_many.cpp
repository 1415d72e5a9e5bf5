#include "engine/replay_many.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <unordered_set>

#include "controller/columns_read.hpp"
#include "core/text.hpp"
#include "document/written_values.hpp"
#include "engine/replay_list.hpp"
#include "engine/replay_record.hpp"
#include "pg/error.hpp"
#include "pg/memory.hpp"
#include "pg/xact.hpp"
#include "queue/outcome.hpp"
#include "queue/rights.hpp"

namespace sync_job {

namespace {

// One document, on its way from its current state to the wanted one.
struct Document {
    ListedChanges::OfDocument changes;  // in replay order
    std::string name;                   // its current name
    DocumentState before, after;
    DocumentState stored;  // `after` as stored
    Obstacle obstacle;
};

// Whether nothing is left to do: replaying the change in any case would leave the document as it is.
bool is_done(const DocumentType& type, const RecordedChange& change, const DocumentState& state) {
    if (!tells_result(change)) return false;
    DocumentState forced = state;
    force_along(type, change, forced);
    bool exists = state || change.operation == Operation::remove;
    return exists && same_state(type, state, forced);
}

// Replays one change after the other, beginning with number `from`. The end times of their jobs give the order, but that is not exact for
// jobs with many documents: so it takes the first change that fits, or one that leaves nothing to do.
Obstacle take_all(const DocumentType& type, const Document& document, std::size_t from, DocumentState& state) {
    std::vector<const ListedChange*> left;
    for (std::size_t i = from; i < document.changes.size(); i++) left.push_back(&document.changes[i]);
    while (!left.empty()) {
        Obstacle first;
        auto fits = std::find_if(left.begin(), left.end(), [&](const ListedChange* listed) {
            Obstacle obstacle = take_along(type, listed->change, document.name, state);
            if (first.none()) first = obstacle;
            return obstacle.none();
        });
        if (fits == left.end()) {
            fits = std::find_if(left.begin(), left.end(), [&](const ListedChange* listed) { return is_done(type, listed->change, state); });
        }
        if (fits == left.end()) return first;
        left.erase(fits);
    }
    return {};
}

// Determines what the document should become, or why it cannot. The first of its changes may have been undone already: then the document is
// as these would leave it.
void judge(const DocumentType& type, Document& document) {
    DocumentState forced = document.before;
    bool known = true;  // the result of the changes so far is known
    for (std::size_t done = 0; done <= document.changes.size(); done++) {
        if (done > 0) {
            const RecordedChange& change = document.changes[done - 1].change;
            force_along(type, change, forced);
            known = change.operation == Operation::remove || (known && tells_result(change));
            bool exists = forced || change.operation == Operation::remove;
            if (!known || !exists || !same_state(type, document.before, forced)) continue;
        }
        document.after = document.before;
        Obstacle obstacle = take_all(type, document, done, document.after);
        if (done == 0) document.obstacle = obstacle;
        if (!obstacle.none()) continue;
        document.obstacle = {};
        return;
    }
}

// Replays the documents of one ReplayGroup.
class GroupReplay {
public:
    GroupReplay(const ReplayRequest& request, const ReplayGroup& group, const Job* own, ReplayCounts& counts,
                const std::function<void(const ReplayedDocument&)>& tell)
        : request_(request), counts_(counts), tell_(tell), type_(*group.type),
          documents_(DocumentType::find(group.target, group.target == group.type->target ? group.type->target_key : std::vector<std::string>())),
          record_(request, group, own) {
        require_own_documents(*documents_);
        if (group.target == type_.target) watched_ = columns_while_unedited(type_, *documents_);
    }

    void run(const ReplayGroup& group);
    // Tries documents once more that could not be written yet: they may depend on others. True: some were written.
    bool try_late();
    // Reports those that cannot be written.
    void give_up_late();
    void finish() {
        if (auto id = record_.finish()) counts_.records.push_back(*id);
    }
    std::vector<std::string>& conflicts() { return conflicts_; }

private:
    // `memory` has its changes; `error`: why writing it failed.
    struct Late {
        std::shared_ptr<pg::Memory> memory;
        Document document;
        std::optional<pg::Error> error;
    };

    void run_chunk(const std::shared_ptr<pg::Memory>& memory, std::vector<Document> chunk);
    void load(std::vector<Document*>& chunk);
    void write_all(const std::shared_ptr<pg::Memory>& memory, std::vector<Document*> some);
    void write(const std::vector<Document*>& some);
    void update(const std::vector<Document*>& some);
    void insert(const std::vector<Document*>& some);
    void remove(const std::vector<Document*>& some);
    bool fit_arrays(const ColumnSet& columns) const;
    std::vector<ReplayedDocument> conclude(const std::vector<Document*>& some);
    void conflict(const Document& document);
    ReplayedDocument told(const Document& document) const;

    const ReplayRequest& request_;
    ReplayCounts& counts_;
    const std::function<void(const ReplayedDocument&)>& tell_;
    const JobType& type_;
    std::shared_ptr<DocumentType> documents_;
    ReplayRecord record_;
    ColumnSet watched_;  // columns for which the last written value is kept
    std::vector<Late> late_;
    std::vector<std::string> conflicts_;  // the first ones, as text
};

void GroupReplay::run(const ReplayGroup& group) {
    constexpr std::size_t at_a_time = 500;
    pg::SpiScope spi;
    ListedChanges changes(group, *documents_, request_.backwards);
    for (;;) {
        auto memory = std::make_shared<pg::Memory>("documents to replay", pg::Memory::Parent::backend);
        pg::MemorySwitch in_it(*memory);
        std::vector<Document> chunk;
        for (ListedChanges::OfDocument& of_document : changes.next(at_a_time)) {
            Document& document = chunk.emplace_back();
            document.changes = std::move(of_document);
            document.name = name_before(*documents_, document.changes[0].change, document.changes[0].target);
        }
        if (chunk.empty()) return;
        run_chunk(memory, std::move(chunk));
    }
}

void GroupReplay::run_chunk(const std::shared_ptr<pg::Memory>& memory, std::vector<Document> chunk) {
    pg::SpiScope spi;
    std::unordered_set<std::string> names;
    std::vector<Document*> some, changed;
    for (Document& document : chunk) {
        if (names.insert(document.name).second) {
            some.push_back(&document);
        } else {
            late_.push_back({memory, std::move(document), {}});
        }
    }
    load(some);
    for (Document* document : some) {
        judge(*documents_, *document);
        if (!document->obstacle.none()) {
            conflict(*document);
        } else if (!same_state(*documents_, document->before, document->after)) {
            changed.push_back(document);
        }
    }
    bool fails_anyway = counts_.conflicts > 0 && !request_.skip_conflicts;
    if (!fails_anyway) write_all(memory, changed);
}

// Loads the current documents, locked until the end of the transaction.
void GroupReplay::load(std::vector<Document*>& some) {
    if (!documents_->supports_many() || !documents_->locks_rows()) {
        for (Document* document : some) {
            pg::Value row = documents_->load(document->name, DocumentType::Lock::for_update);
            if (!row.null) document->before = pg::take_apart(row.datum, documents_->relation());
        }
        return;
    }
    std::vector<std::string> names;
    for (const Document* document : some) names.push_back(document->name);
    for (NumberedRow& found : documents_->lock_many(names)) some[found.number]->before = found.row;
}

// Writes all in one subtransaction; if that fails, in smaller and smaller parts, until the document that is wrong is alone.
void GroupReplay::write_all(const std::shared_ptr<pg::Memory>& memory, std::vector<Document*> some) {
    constexpr std::size_t parts = 4;
    if (some.empty()) return;
    std::vector<ReplayedDocument> done;
    try {
        pg::Subtransaction subtransaction;
        {
            pg::SpiScope spi;
            write(some);
            done = conclude(some);
        }
        subtransaction.commit();
    } catch (const pg::Error& error) {
        if (!pg::is_specific(error)) throw;
        if (some.size() == 1) {
            late_.push_back({memory, std::move(*some[0]), error});
            return;
        }
        std::size_t size = (some.size() + parts - 1) / parts;
        for (std::size_t from = 0; from < some.size(); from += size) {
            auto first = some.begin() + static_cast<std::ptrdiff_t>(from);
            write_all(memory, {first, first + static_cast<std::ptrdiff_t>(std::min(size, some.size() - from))});
        }
        return;
    }
    pg::command_counter_increment();
    for (const ReplayedDocument& document : done) tell_(document);
    counts_.done += static_cast<std::int64_t>(done.size());
}

bool GroupReplay::try_late() {
    std::vector<Late> now = std::exchange(late_, {});
    for (Late& late : now) {
        pg::MemorySwitch in_it(*late.memory);
        std::vector<Document> one;
        one.push_back({std::move(late.document.changes), late.document.name, {}, {}, {}, {}});
        run_chunk(late.memory, std::move(one));
    }
    return late_.size() < now.size();
}

void GroupReplay::give_up_late() {
    for (Late& late : late_) {
        if (late.error && !request_.skip_conflicts && counts_.conflicts == 0) throw *late.error;
        if (late.error) late.document.obstacle.detail = recordable(*late.error, type_)->message;
        conflict(late.document);
    }
    late_.clear();
}

// --- Writing ---

bool GroupReplay::fit_arrays(const ColumnSet& columns) const {
    const auto& all = documents_->relation().columns;
    return documents_->supports_many() &&
           std::all_of(columns.begin(), columns.end(), [&](int number) { return fits_array(pg::base_type(all[number - 1].type)); });
}

// Makes room first: a unique value may move from one document to another.
void GroupReplay::write(const std::vector<Document*>& some) {
    std::vector<Document*> removed;
    std::map<ColumnSet, std::vector<Document*>> updated, inserted;
    for (Document* document : some) {
        if (!document->after) {
            removed.push_back(document);
        } else if (document->before) {
            updated[documents_->changed_columns(*document->before, *document->after)].push_back(document);
        } else {
            inserted[columns_to_insert(*documents_, *document->after)].push_back(document);
        }
    }
    remove(removed);
    for (auto& [columns, of_these] : updated) update(of_these);
    for (auto& [columns, of_these] : inserted) insert(of_these);
}

void GroupReplay::remove(const std::vector<Document*>& some) {
    if (some.empty()) return;
    if (documents_->supports_many()) {
        std::vector<std::string> names;
        for (const Document* document : some) names.push_back(document->name);
        documents_->remove_many(names);
        return;
    }
    for (const Document* document : some) documents_->remove(document->name);
}

void GroupReplay::update(const std::vector<Document*>& some) {
    ColumnSet columns = documents_->changed_columns(*some[0]->before, *some[0]->after);
    if (!fit_arrays(columns)) {
        for (Document* document : some) {
            document->stored = pg::take_apart(documents_->update(document->name, *document->after, columns), documents_->relation());
        }
        return;
    }
    std::vector<pg::RowValues> before, wanted;
    for (const Document* document : some) before.push_back(*document->before), wanted.push_back(*document->after);
    std::vector<pg::RowValues> after = documents_->update_many(before, wanted, columns);
    for (std::size_t i = 0; i < some.size(); i++) some[i]->stored = after[i];
}

// Inserts the values they had, even for identity columns.
void GroupReplay::insert(const std::vector<Document*>& some) {
    ColumnSet columns = columns_to_insert(*documents_, *some[0]->after);
    if (!fit_arrays(columns)) {
        for (Document* document : some) {
            Datum row = documents_->insert(*document->after, columns, DocumentType::Identity::given);
            document->stored = pg::take_apart(row, documents_->relation());
        }
        return;
    }
    std::vector<pg::RowValues> wanted;
    for (const Document* document : some) wanted.push_back(*document->after);
    std::vector<pg::RowValues> after = documents_->insert_many(wanted, columns, DocumentType::Identity::given);
    for (std::size_t i = 0; i < some.size(); i++) some[i]->stored = after[i];
}

// --- What came of it ---

// Values that were brought back do not count as edits.
std::vector<ReplayedDocument> GroupReplay::conclude(const std::vector<Document*>& some) {
    std::vector<RecordedDocument> records;
    std::vector<ReplayedDocument> all;
    for (const Document* document : some) {
        ReplayedDocument& done = all.emplace_back(told(*document));
        done.done = true;
        done.recorded_by = record_.id();
        if (document->stored) done.target = documents_->name_of(*document->stored);
        records.push_back({done.source, done.target, &document->before, &document->stored});
        if (watched_.empty() || !document->stored) continue;
        ColumnSet columns = watched_;
        if (document->before) columns = documents_->changed_columns(*document->before, *document->stored, watched_);
        remember_written(type_.name, *documents_, *document->stored, columns);
    }
    record_.add(*documents_, records);
    return all;
}

ReplayedDocument GroupReplay::told(const Document& document) const {
    const ListedChange& newest = document.changes[request_.backwards ? 0 : document.changes.size() - 1];
    return {newest.sync_job, newest.source, document.name, documents_->relation().oid, false, document.obstacle.fields, document.obstacle.detail, 0};
}

void GroupReplay::conflict(const Document& document) {
    constexpr std::size_t most_named = 10;
    counts_.conflicts++;
    tell_(told(document));
    if (conflicts_.size() >= most_named) return;
    std::vector<std::string> fields;
    for (const std::string& field : document.obstacle.fields) fields.push_back(quoted(field));
    std::string why = document.obstacle.detail;
    if (why.empty()) why = "Fields of " + quoted(documents_->label()) + " " + quoted(document.name) + " that have changed since: " + join(fields, ", ") + ".";
    conflicts_.push_back(pg::clipped(why, 300));
}

[[noreturn]] void raise_conflicts(const ReplayRequest& request, std::int64_t count, const std::vector<std::string>& named) {
    std::string verb = request.backwards ? "revert" : "apply";
    std::string detail = join(named, " ");
    auto more = count - static_cast<std::int64_t>(named.size());
    if (more > 0) detail += " And " + std::to_string(more) + " more.";
    throw pg::Error("55000", "cannot " + verb + " " + std::to_string(count) + (count == 1 ? " document" : " documents"))
        .detail(detail)
        .hint("Go on without them with conflicts => 'skip', which names them all, and change them by hand.");
}

}  // namespace

ReplayCounts replay_jobs(const ReplayRequest& request, const Job* own, const std::function<void(const ReplayedDocument&)>& tell) {
    ReplayCounts counts;
    std::vector<ReplayGroup> groups = jobs_to_replay(request.jobs, request.backwards);
    std::vector<std::unique_ptr<GroupReplay>> replays;
    for (const ReplayGroup& group : groups) {
        replays.push_back(std::make_unique<GroupReplay>(request, group, own, counts, tell));
        replays.back()->run(group);
    }
    for (bool again = true; again;) {
        again = false;
        for (auto& replay : replays) again = replay->try_late() || again;
    }
    for (auto& replay : replays) replay->give_up_late();
    if (counts.conflicts > 0 && !request.skip_conflicts) {
        std::vector<std::string> named;
        for (auto& replay : replays) named.insert(named.end(), replay->conflicts().begin(), replay->conflicts().end());
        raise_conflicts(request, counts.conflicts, named);
    }
    for (auto& replay : replays) replay->finish();
    return counts;
}

}  // namespace sync_job
