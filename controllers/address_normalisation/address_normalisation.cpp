// Addresses as people type them, made into ones that can be compared and printed: the country and the region by their ISO codes, the
// house number by itself, the postal code as the country's post writes it.
#include <map>
#include <sync_job/controller.hpp>
#include <unordered_map>

#include "text.hpp"

namespace {

using sync_job::Document;

class Addresses : public sync_job::Controller {
public:
    void update_many(sync_job::Batch& batch) override {
        read_names();
        for (auto item : batch) set(item.source, item.target);
    }

private:
    // Once per process. Who changes these tables has the workers begin anew, as with any data that code keeps.
    void read_names() {
        if (!countries_.empty()) return;
        for (const Document row : sql("SELECT code, name FROM iso.country")) {
            auto code = row.get<std::string>("code");
            countries_[address::folded(code)] = code;
            countries_[address::folded(row.get<std::string_view>("name"))] = code;
        }
        // A name that several regions of a country have belongs to none of them.
        for (const Document row : sql("SELECT country, min(code) AS code, name FROM iso.subdivision GROUP BY country, name HAVING count(*) = 1")) {
            auto name = row.get<std::string_view>("name");
            name = name.substr(0, name.find(" ["));  // Girona [Gerona]
            auto [place, is_new] = regions_[row.get<std::string>("country")].try_emplace(address::folded(name), row.get<std::string>("code"));
            if (!is_new) place->second.clear();
        }
    }

    const std::string* country_of(const std::string& name) const {
        auto found = countries_.find(address::folded(name));
        return found == countries_.end() ? nullptr : &found->second;
    }

    std::optional<std::string> region_of(const std::string& country, const std::optional<std::string>& name) const {
        auto of_country = regions_.find(country);
        if (!name || of_country == regions_.end()) return std::nullopt;
        auto found = of_country->second.find(address::folded(*name));
        if (found == of_country->second.end() || found->second.empty()) return std::nullopt;
        return found->second;
    }

    void set(const Document& source, Document& target) const {
        auto named = source.get<std::string>("country");
        const std::string* country = country_of(named);
        if (country == nullptr) throw sync_job::Error("22023", "no country is called \"" + named + "\"").hint("Give its English name, or its code.");
        auto typed = source.get<std::string>("postal_code");
        auto code = address::postal_code(typed, *country);
        if (!code) throw sync_job::Error("22023", "\"" + typed + "\" is no postal code of " + *country);
        address::Street street = address::parted(source.get<std::string_view>("street"), *country);
        std::string city = address::capitalized(address::squeezed(source.get<std::string_view>("city")));
        target["street"] = street.name;
        target["house_number"] = street.number;
        target["postal_code"] = *code;
        target["city"] = city;
        target["region_code"] = region_of(*country, source.get<std::optional<std::string>>("region"));
        target["country_code"] = *country;
        target["search_key"] = address::folded(street.name + street.number + *code + city + *country);
    }

    std::unordered_map<std::string, std::string> countries_;                   // by folded name or code
    std::map<std::string, std::unordered_map<std::string, std::string>> regions_;  // by country, then by folded name
};

}  // namespace

SYNC_JOB_CONTROLLER(Addresses)
