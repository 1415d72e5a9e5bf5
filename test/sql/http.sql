-- HTTP push, as far as it goes without a server: endpoints, what a type may say, what is checked when. The library that sends is not
-- needed for any of it.
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;
CREATE ROLE http_owner LOGIN;
CREATE ROLE http_other LOGIN;
CREATE TABLE product (sku text PRIMARY KEY, name text, price numeric, stock int, shop_id text, secret_note text);
ALTER TABLE product OWNER TO http_owner;
INSERT INTO product VALUES ('A 1', 'Chair', 49.90, 3), ('B/2', 'Table', 120, 0), ('..', 'Odd', 1, 1);

-- Endpoints
CREATE SERVER shop FOREIGN DATA WRAPPER sync_job_http;
CREATE SERVER shop FOREIGN DATA WRAPPER sync_job_http OPTIONS (url 'ftp://shop.example.com');
CREATE SERVER shop FOREIGN DATA WRAPPER sync_job_http OPTIONS (url 'https://shop.example.com/api');
CREATE SERVER shop FOREIGN DATA WRAPPER sync_job_http OPTIONS (url 'https://user:word@shop.example.com');
CREATE SERVER shop FOREIGN DATA WRAPPER sync_job_http OPTIONS (url 'https://shop.example.com', hots 'x');
CREATE SERVER shop FOREIGN DATA WRAPPER sync_job_http OPTIONS (url 'https://shop.example.com', in_flight '0');
CREATE SERVER shop FOREIGN DATA WRAPPER sync_job_http OPTIONS (url 'https://shop.example.com', per_second 'many');
CREATE SERVER shop FOREIGN DATA WRAPPER sync_job_http OPTIONS (url 'https://shop.example.com', networks '10.0.0.0/40');
CREATE SERVER shop FOREIGN DATA WRAPPER sync_job_http OPTIONS (url 'https://Shop.example.com:8443', in_flight '8', per_second '2.5', timeout '5000');
ALTER FOREIGN DATA WRAPPER sync_job_http OPTIONS (url 'https://shop.example.com');
CREATE FOREIGN TABLE nothing (a int) SERVER shop OPTIONS (path '/');
-- Only superusers open private networks, or change a server that has one.
GRANT USAGE ON FOREIGN DATA WRAPPER sync_job_http TO http_owner;
SET ROLE http_owner;
CREATE SERVER own FOREIGN DATA WRAPPER sync_job_http OPTIONS (url 'https://shop.example.com', networks '10.0.0.0/8');
CREATE SERVER own FOREIGN DATA WRAPPER sync_job_http OPTIONS (url 'https://shop.example.com', ca_file '/etc/passwd');
CREATE SERVER own FOREIGN DATA WRAPPER sync_job_http OPTIONS (url 'https://shop.example.com');
RESET ROLE;
ALTER SERVER own OPTIONS (ADD networks '10.0.0.0/8');
SET ROLE http_owner;
ALTER SERVER own OPTIONS (SET url 'https://intern.example.com');
RESET ROLE;
-- Secrets
CREATE USER MAPPING FOR http_owner SERVER shop OPTIONS ("Token" 'x');
CREATE USER MAPPING FOR http_owner SERVER shop OPTIONS (token '');
CREATE USER MAPPING FOR http_owner SERVER shop OPTIONS (token 'very-secret-token');

-- What a type may say
\set type 'INSERT INTO sync_job_type (name, source_document_type, http) VALUES (''Shop'', ''product'', '
:type '[]');
:type '{}');
:type '{"server": "shop"}');
:type '{"server": "shop", "path": "products"}');
:type '{"server": "shop", "path": "/products/{"}');
:type '{"server": "shop", "path": "/products?all"}');
:type '{"server": "shop", "path": "/p", "method": "FETCH"}');
:type '{"server": "shop", "path": "/p", "colour": "red"}');
:type '{"server": "shop", "path": "/p", "headers": {"Host": {"value": "evil"}}}');
:type '{"server": "shop", "path": "/p", "headers": {"X\nY": {"value": "evil"}}}');
:type '{"server": "shop", "path": "/p", "headers": {"X-Sign": {"hmac": "key", "digest": "md5"}}}');
:type '{"server": "shop", "path": "/p", "headers": {"X-Sign": {"secret": "key", "over": "head"}}}');
:type '{"server": "shop", "path": "/p", "query": {"a": 1}}');
:type '{"server": "shop", "path": "/p", "body": {"a": {"expr": "1 +"}}}');
:type '{"server": "shop", "path": "/p", "success": ["ok"]}');
:type '{"server": "shop", "path": "/p", "answer": {"source": {"shop_id": "id"}}}');
:type '{"server": "shop", "path": "/p", "answer": {"target": {"id": "/id"}}}');
:type '{"server": "shop", "path": "/p", "batch": {"size": 0}}');
:type '{"server": "shop", "path": "/p/{sku}", "batch": {"size": 10}, "body": {"sku": "sku"}}');
:type '{"server": "shop", "path": "/p", "batch": {"size": 10}}');
:type '{"server": "shop", "path": "/p", "key": "Content-Length"}');
INSERT INTO sync_job_type (name, source_document_type, target_document_type, http, match, field_map)
VALUES ('Shop', 'product', 'product', '{"server": "shop", "path": "/p"}', '{"sku": "sku"}', '{"name": "name"}');
INSERT INTO sync_job_type (name, source_document_type, http, set_size) VALUES ('Shop', 'product', '{"server": "shop", "path": "/p"}', 10);
INSERT INTO sync_job_type (name, source_document_type, http, on_delete) VALUES ('Shop', 'product', '{"server": "shop", "path": "/p"}', '{"name": "gone"}');

-- What only this database tells, validate says, and the first finding as the type is written. It reaches no network.
CREATE VIEW finding AS SELECT f.severity, f.object, f.message, f.field FROM (VALUES ('Shop')) AS t (name)
    CROSS JOIN LATERAL validate_sync_job_type(t.name) AS f WHERE f.message !~ 'pg_sync_job_http is not installed';
SET client_min_messages = error;
:type '{"server": "nowhere", "path": "/p"}');
RESET client_min_messages;
SELECT * FROM finding;
\set change 'UPDATE sync_job_type SET http = '
SET client_min_messages = error;
:change '{"server": "shop", "path": "/p", "delete": {}}';
SELECT * FROM finding;
GRANT USAGE ON FOREIGN SERVER shop TO http_owner;
SELECT * FROM finding;
:change '{"server": "shop", "path": "/p/{colour}", "delete": {}}';
SELECT * FROM finding;
:change '{"server": "shop", "path": "/p", "delete": {}, "query": {"q": {"expr": "lower(source.stock)"}}}';
SELECT * FROM finding;
:change '{"server": "shop", "path": "/p", "delete": {}, "headers": {"Authorization": {"secret": "password", "prefix": "Basic "}}}';
SELECT * FROM finding;
:change '{"server": "shop", "path": "/p", "delete": {}, "answer": {"source": {"sku": "/id"}}}';
SELECT * FROM finding;
:change '{"server": "shop", "path": "/p", "delete": {}, "answer": {"source": {"shop": "/id"}}}';
SELECT * FROM finding;
:change '{"server": "shop", "path": "/p"}';
SELECT * FROM finding;
:change '{"server": "shop", "method": "put", "path": "/products/{sku}", "query": {"stock": {"expr": "source.stock > 0"}, "none": "secret_note"},
  "headers": {"Authorization": {"secret": "token", "prefix": "Bearer "}, "X-Signature": {"hmac": "token", "over": "body", "prefix": "sha256="}, "X-Who": {"expr": "current_user"}},
  "body": {"name": "name", "price": "price", "in_stock": {"expr": "source.stock > 0"}, "origin": {"value": "ERP"}, "why": {"expr": "operation"}},
  "answer": {"source": {"shop_id": "/id"}}, "delete": {}}';
SELECT * FROM finding;
RESET client_min_messages;
SELECT export_sync_job_type('Shop') LIKE '%very-secret%' AS tells_a_secret, export_sync_job_type('Shop') LIKE '%X-Signature%' AS has_http;

-- Jobs wait apart from all others, and nobody runs them here.
SELECT enqueue_sync_job('Shop', 'A 1') AS id \gset
SELECT status, held FROM sync_job WHERE id = :id;
\set VERBOSITY terse
SELECT set_config('test.id', :'id', false) IS NOT NULL AS set;
SET SESSION AUTHORIZATION http_owner;
DO $$ BEGIN PERFORM execute_sync_job(current_setting('test.id')::bigint); EXCEPTION WHEN feature_not_supported THEN RAISE NOTICE '%', regexp_replace(sqlerrm, '\d+', 'N'); END $$;
DO $$ BEGIN CALL run_sync_jobs(); EXCEPTION WHEN feature_not_supported THEN RAISE NOTICE '%', regexp_replace(sqlerrm, '\d+', 'N'); END $$;
RESET SESSION AUTHORIZATION;
\set VERBOSITY default
SELECT enqueue_full_sync('Shop');
SELECT compare_sync_documents('Shop');
SELECT status FROM cancel_sync_job(:id);

DELETE FROM sync_job_type;
DROP VIEW finding;
DROP EXTENSION pg_sync_job;
DROP EXTENSION pg_sync_job CASCADE;
DROP TABLE product;
DROP ROLE http_owner, http_other;
