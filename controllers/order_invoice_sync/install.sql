-- One source, several targets: an order becomes an invoice, and a line of it for each of the order's items.
\ir ../tables.sql

CREATE SCHEMA order_invoice_sync;

-- All targets of the order: the invoice; its lines; and lines whose item is no longer in the order. Each becomes a job of its own,
-- a child of this one, with the context given here. The key of a line has two columns: its name is a JSON array. An insert with a
-- name starts with that key. An order that was deleted has no items any more, so that its lines go with its invoice.
CREATE FUNCTION order_invoice_sync.get_multiple_target_documents(sync_job sync_job, source_doc erp.sales_order)
RETURNS SETOF sync_job_target LANGUAGE sql STABLE AS $$
    SELECT sync_job_target(CASE WHEN sync_job.context ->> 'trigger_operation' = 'Delete' THEN 'delete'
                                WHEN v.number IS NULL THEN 'insert' ELSE 'update' END,
                           'sap.invoice', source_doc.name)
    FROM (SELECT 1) AS one LEFT JOIN sap.invoice AS v ON v.number = source_doc.name
UNION ALL
    SELECT sync_job_target(CASE WHEN i.idx IS NULL THEN 'delete' WHEN l.line IS NULL THEN 'insert' ELSE 'update' END,
                           'sap.invoice_line', json_build_array(source_doc.name, n.line::text)::text,
                           jsonb_build_object('line', n.line))
    FROM (SELECT idx FROM erp.sales_order_item WHERE sales_order = source_doc.name
          UNION SELECT line FROM sap.invoice_line WHERE invoice = source_doc.name) AS n (line)
    LEFT JOIN erp.sales_order_item AS i ON i.sales_order = source_doc.name AND i.idx = n.line
    LEFT JOIN sap.invoice_line AS l ON l.invoice = source_doc.name AND l.line = n.line
$$;

-- As the targets are in two tables, the job type names none, and target_doc is jsonb: only what is set is written.
CREATE FUNCTION order_invoice_sync.update_target_doc(sync_job sync_job, source_doc erp.sales_order, target_doc jsonb)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF sync_job.target_document_type = 'sap.invoice'::regclass THEN
        RETURN target_doc || jsonb_build_object(
            'customer', source_doc.customer,
            'total', (SELECT coalesce(sum(i.qty * i.rate), 0) FROM erp.sales_order_item AS i WHERE i.sales_order = source_doc.name));
    END IF;
    RETURN target_doc || (SELECT jsonb_build_object('item', i.item_code, 'amount', i.qty * i.rate)
                          FROM erp.sales_order_item AS i
                          WHERE i.sales_order = source_doc.name AND i.idx = (sync_job.context ->> 'line')::integer);
END $$;

INSERT INTO sync_job_type (name, source_document_type) VALUES ('Order Invoice Sync', 'erp.sales_order');

CREATE TRIGGER order_invoice_sync AFTER INSERT OR UPDATE OR DELETE ON erp.sales_order
    FOR EACH ROW EXECUTE FUNCTION sync_job_trigger('Order Invoice Sync', 'deduplicate=true');

-- A change of an item is a change of its order. However many items a transaction changes, the order has one job more.
CREATE FUNCTION order_invoice_sync.item_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM enqueue_sync_job('Order Invoice Sync', coalesce(NEW.sales_order, OLD.sales_order),
                             trigger_type => 'Document Hook', deduplicate => true);
    RETURN NULL;
END $$;
CREATE TRIGGER order_invoice_sync AFTER INSERT OR UPDATE OR DELETE ON erp.sales_order_item
    FOR EACH ROW EXECUTE FUNCTION order_invoice_sync.item_changed();
