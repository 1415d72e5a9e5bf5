-- Names are made findable by a library in C++ that uses ICU: build and install that first (README.md). As a superuser, as only they
-- name libraries.
CREATE SCHEMA IF NOT EXISTS crm;
CREATE TABLE IF NOT EXISTS crm.person (
    id   bigint PRIMARY KEY,
    name text NOT NULL                 -- in any script: Łukasz Żółć, Владимир, 毛泽东
);
CREATE TABLE IF NOT EXISTS crm.person_search (
    person      bigint PRIMARY KEY,
    name        text NOT NULL,
    script      text NOT NULL,         -- as in ISO 15924: Latn, Cyrl, Hani
    search_name text NOT NULL,         -- what one types to find it: lukaszzolc, vladimir, maozedong
    sort_key    bytea NOT NULL
);
CREATE INDEX IF NOT EXISTS person_search_name ON crm.person_search (search_name text_pattern_ops);
CREATE INDEX IF NOT EXISTS person_search_order ON crm.person_search (sort_key);

INSERT INTO sync_job_type (name, source_document_type, target_document_type, library, match)
VALUES ('Search Names', 'crm.person', 'crm.person_search', 'search_names', '{"person": "id"}');

SELECT attach_sync_job_triggers('Search Names', 'crm.person');
