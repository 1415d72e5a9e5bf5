-- Types, on each node.
INSERT INTO sync_job_type (name, source_document_type, target_document_type, module) VALUES
    ('plpgsql', 'customer', 'plpgsql_target', 'plpgsql_sync'), ('sql', 'customer', 'sql_target', 'sql_sync'), ('bypass', 'customer', NULL, 'bypass_sync');
INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map)
    VALUES ('declared', 'customer', 'declared_target', '{"customer": "name"}', '{"city": "city"}');
