// Names of all scripts, made findable with the library ICU: transliterated, without accents and case, and a key to sort them by.
#include <memory>
#include <sync_job/controller.hpp>
#include <unicode/coll.h>
#include <unicode/translit.h>
#include <unicode/uscript.h>
#include <unicode/unistr.h>

namespace {

using sync_job::Document;

// ICU reports by a code.
void check(UErrorCode code, const char* what) {
    if (U_FAILURE(code)) throw sync_job::Error("58000", std::string(what) + " failed: " + u_errorName(code));
}

class Names : public sync_job::Controller {
public:
    // What is costly to make is made once per process. What goes wrong here is a mistake in the set-up.
    Names() {
        UErrorCode code = U_ZERO_ERROR;
        latin_.reset(icu::Transliterator::createInstance("Any-Latin; NFD; [:M:] Remove; Latin-ASCII; Lower; [:^alnum:] Remove",
                                                         UTRANS_FORWARD, code));
        check(code, "making the transliteration");
        order_.reset(icu::Collator::createInstance(icu::Locale::getRoot(), code));
        check(code, "making the collation");
        order_->setStrength(icu::Collator::TERTIARY);
    }

    void update_target_doc(const sync_job::Job&, const Document& source, Document& target) override {
        auto name = source.get<std::string_view>("name");
        icu::UnicodeString text = icu::UnicodeString::fromUTF8(icu::StringPiece(name.data(), static_cast<int32_t>(name.size())));
        target["name"] = name;
        target["script"] = script_of(text);
        target["sort_key"] = sort_key(text);
        latin_->transliterate(text);
        std::string plain;
        target["search_name"] = text.toUTF8String(plain);
    }

private:
    // That of the first letter: Latn, Cyrl, Arab, Hani.
    static std::string script_of(const icu::UnicodeString& text) {
        for (int32_t at = 0; at < text.length(); at = text.moveIndex32(at, 1)) {
            UErrorCode code = U_ZERO_ERROR;
            UScriptCode script = uscript_getScript(text.char32At(at), &code);
            check(code, "looking at a letter");
            if (script > USCRIPT_INHERITED) return uscript_getShortName(script);
        }
        return "Zyyy";
    }

    sync_job::Bytes sort_key(const icu::UnicodeString& text) const {
        sync_job::Bytes key(64);
        auto length = static_cast<std::size_t>(order_->getSortKey(text, key.data(), static_cast<int32_t>(key.size())));
        if (length > key.size()) {
            key.resize(length);
            order_->getSortKey(text, key.data(), static_cast<int32_t>(key.size()));
        }
        key.resize(length - 1);  // it ends with a zero
        return key;
    }

    std::unique_ptr<icu::Transliterator> latin_;
    std::unique_ptr<icu::Collator> order_;
};

}  // namespace

SYNC_JOB_CONTROLLER(Names)
