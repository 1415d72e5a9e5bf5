-- A sync without code: which target belongs to a source, and what is set in it, are declared in the job type.
\ir ../tables.sql

INSERT INTO sync_job_type (name, source_document_type, target_document_type, match, field_map)
VALUES ('Mapped Customer Sync', 'erp.customer', 'sap.customer',
        '{"erp_customer": "name"}',
        '{
            "customer_name":  "customer_name",
            "customer_type":  {"value": "ERP"},
            "customer_group": {"expr": "coalesce(source.customer_group, context ->> ''group'')"},
            "territory":      {"expr": "upper(source.territory)"}
        }');

-- Also for deletes: a source that is gone deletes its target.
SELECT attach_sync_job_triggers('Mapped Customer Sync', 'erp.customer');
