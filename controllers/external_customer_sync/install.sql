-- A bypass controller that calls an HTTP API, in Python: it posts a customer, and keeps the id that the API gives it.
\ir ../tables.sql
CREATE EXTENSION IF NOT EXISTS plpython3u;

CREATE SCHEMA external_customer_sync;

-- Where the API is: one row.
CREATE TABLE external_customer_sync.endpoint (url text NOT NULL);
CREATE UNIQUE INDEX ON external_customer_sync.endpoint ((true));
INSERT INTO external_customer_sync.endpoint VALUES ('https://api.example.com/customers');

-- An attempt may be cut short and repeated after the API has done its work. All attempts of a job send the same key, by which
-- the API can tell a repetition. An error fails the attempt; the job is tried again as its type says.
CREATE FUNCTION external_customer_sync.execute(sync_job sync_job, source_doc erp.customer, context jsonb)
RETURNS sync_job_result LANGUAGE plpython3u AS $$
import json
import urllib.error
import urllib.request

if sync_job["dry_run"]:  # it is rolled back here, but not there
    return None

url = plpy.execute("SELECT url FROM external_customer_sync.endpoint")[0]["url"]
request = urllib.request.Request(
    url,
    data=json.dumps({"name": source_doc["customer_name"], "email": source_doc["email_id"]}).encode(),
    headers={"Content-Type": "application/json", "Idempotency-Key": f"sync-job-{sync_job['id']}"},
    method="POST",
)
try:
    # Python does not notice PostgreSQL's timeout while it waits: it has to have one of its own.
    with urllib.request.urlopen(request, timeout=30) as response:
        external_id = str(json.load(response)["id"])
except urllib.error.HTTPError as error:
    plpy.error(f"the API answered {error.code} {error.reason}", detail=error.read(1000).decode(errors="replace"))
except (OSError, ValueError, KeyError) as error:
    plpy.error("the API gave no answer that could be used", detail=f"{type(error).__name__}: {error}")

stored = plpy.execute(
    plpy.prepare(
        """INSERT INTO api.customer AS c (name, external_id, last_synced) VALUES ($1, $2, clock_timestamp())
           ON CONFLICT (name) DO UPDATE SET external_id = EXCLUDED.external_id, last_synced = EXCLUDED.last_synced
           RETURNING c.xmax = 0 AS is_new""",
        ["text", "text"],
    ),
    [source_doc["name"], external_id],
)
return {
    "target_document_type": "api.customer",
    "target_document_name": source_doc["name"],
    "operation": "insert" if stored[0]["is_new"] else "update",
    "diff": json.dumps({"external_id": {"new": external_id}}),
}
$$;

INSERT INTO sync_job_type (name, source_document_type, target_document_type, timeout, max_retries, retry_backoff)
VALUES ('External Customer Sync', 'erp.customer', 'api.customer', '1 minute', 5, 'exponential');

CREATE TRIGGER external_customer_sync AFTER INSERT OR UPDATE OF customer_name, email_id ON erp.customer
    FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('External Customer Sync', 'deduplicate=true');
