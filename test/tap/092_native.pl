# A native controller is built against the installed headers, and syncs. All else about them is in test/native.
use strict;
use warnings;
use PostgreSQL::Test::Utils;
use Test::More;
use SyncJob;
use lib '../native';
use Native;

my $node = native_cluster('native');
load_example($node);
build_controller('customers', <<'END');
struct Test : Controller {
	std::optional<Target> get_target_document(const Job&, const Document& source) override {
		for (const Document row : sql("SELECT id::text FROM sap_customer WHERE erp_customer = $1", source["name"])) return Target::update(row.get<std::string>("id"));
		return Target::insert();
	}
	void update_target_doc(const Job& job, const Document& source, Document& target) override {
		target["erp_customer"] = source["name"];
		target["customer_name"] = source["customer_name"];
		target["territory"] = source.get<std::string>("territory") + job.context().value("suffix", "");
	}
};
END
$node->safe_psql('postgres', q{
	INSERT INTO sync_job_type (name, source_document_type, target_document_type, library) VALUES ('Native', 'customer', 'sap_customer', 'customers');
	INSERT INTO customer VALUES ('C1', 'Ana', 'North');
});
my ($status, $id) = run_job($node, 'Native', 'C1', '{"suffix": "!"}');
is($status, 'Finished', 'an insert') or diag(error_of($node, $id));
is($node->safe_psql('postgres', 'SELECT erp_customer, customer_name, territory FROM sap_customer'), 'C1|Ana|North!', '… of what the controller has set');
$node->safe_psql('postgres', q{UPDATE customer SET customer_name = 'Anna'});
($status, $id) = run_job($node, 'Native', 'C1', '{"suffix": "!"}');
is($status, 'Finished', 'an update') or diag(error_of($node, $id));
is($node->safe_psql('postgres', "SELECT diff_summary FROM sync_job WHERE id = $id"), '{"customer_name": {"new": "Anna", "old": "Ana"}}', '… of what has changed');
is((run_job($node, 'Native', 'C1', '{"suffix": "!"}'))[0], 'Skipped', 'there is nothing to do');
is($node->safe_psql('postgres', q{SELECT count(*) FROM validate_sync_job_type('Native') WHERE severity = 'error'}), 0, 'nothing is wrong with it');
unlike_accidents($node);
$node->stop('fast');
done_testing();
