-- Stock sync of franchise outlets: one background job that goes through them in chunks of 50, each committed.
CREATE SCHEMA stock_sync;

CREATE TABLE stock_sync.outlet (
    id           integer PRIMARY KEY,
    name         text NOT NULL,
    outlet_group text,
    warehouse    text,
    active       boolean NOT NULL DEFAULT true
);
CREATE TABLE stock_sync.stock (
    warehouse text,
    item      text,
    quantity  integer NOT NULL,
    PRIMARY KEY (warehouse, item)
);
-- What the tills of the outlets have sold.
CREATE TABLE stock_sync.pos_invoice (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    warehouse text NOT NULL,
    item      text NOT NULL,
    quantity  integer NOT NULL,
    synced_by bigint  -- the job
);
CREATE INDEX ON stock_sync.pos_invoice (warehouse) WHERE synced_by IS NULL;
CREATE TABLE stock_sync.report (
    sync_job     bigint PRIMARY KEY,
    outlet_group text NOT NULL,
    summary      jsonb NOT NULL,
    written_at   timestamptz NOT NULL DEFAULT now()
);

-- The entry point: of a button, or of a schedule. While a sync waits or runs, another click starts none: it gets the
-- number of that one.
CREATE FUNCTION stock_sync.start(outlet_group text DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
    SELECT enqueue_background_job('stock_sync.process', jsonb_build_object('outlet_group', outlet_group),
        queue => 'long', timeout => '20 minutes', title => 'Stock sync',
        job_id => 'stock_sync::' || coalesce(outlet_group, 'all'), deduplicate => true,
        max_retries => 3, retry_delay => '1 second')
$$;

-- One outlet. Raises for a bad one.
CREATE FUNCTION stock_sync.sync_outlet(outlet stock_sync.outlet) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF outlet.warehouse IS NULL THEN
        RAISE EXCEPTION 'no warehouse configured for %', outlet.name;
    END IF;
    WITH sold AS (
        UPDATE stock_sync.pos_invoice AS i SET synced_by = current_sync_job()
        WHERE i.warehouse = outlet.warehouse AND i.synced_by IS NULL
        RETURNING i.item, i.quantity
    )
    UPDATE stock_sync.stock AS s SET quantity = s.quantity - t.quantity
    FROM (SELECT item, sum(quantity) AS quantity FROM sold GROUP BY item) AS t
    WHERE s.warehouse = outlet.warehouse AND s.item = t.item;
END $$;

-- The job. What it has done it writes down with each chunk; after a crash it goes on from there.
CREATE PROCEDURE stock_sync.process(outlet_group text, INOUT result jsonb DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
    chunk_size CONSTANT integer := 50;
    state jsonb := coalesce(get_sync_job_checkpoint(), '{"last": 0, "done": 0, "success": 0, "errors": []}');
    last integer := state->'last';
    done integer := state->'done';
    success integer := state->'success';
    errors jsonb := state->'errors';
    total integer;
    outlet stock_sync.outlet;
BEGIN
    SELECT count(*) INTO total FROM stock_sync.outlet AS o
    WHERE o.active AND (process.outlet_group IS NULL OR o.outlet_group = process.outlet_group);
    LOOP
        FOR outlet IN
            SELECT * FROM stock_sync.outlet AS o
            WHERE o.active AND (process.outlet_group IS NULL OR o.outlet_group = process.outlet_group) AND o.id > last
            ORDER BY o.id LIMIT chunk_size
        LOOP
            BEGIN  -- one bad outlet does not sink the others
                PERFORM stock_sync.sync_outlet(outlet);
                success := success + 1;
            EXCEPTION WHEN OTHERS THEN
                errors := errors || jsonb_build_object('outlet', outlet.name, 'error', sqlerrm);
            END;
            last := outlet.id;
            done := done + 1;
            PERFORM report_sync_job_progress(100.0 * done / total, 'Stock sync',
                                             format('Processing %s (%s/%s)', outlet.name, done, total));
        END LOOP;
        EXIT WHEN NOT FOUND;
        PERFORM set_sync_job_checkpoint(jsonb_build_object('last', last, 'done', done, 'success', success, 'errors', errors));
        COMMIT;
    END LOOP;

    -- The summary, its event and the report job commit together with the end of this job.
    result := jsonb_build_object('total', total, 'success', success, 'errors', jsonb_array_length(errors),
                                 'error_details', jsonb_path_query_array(errors, '$[0 to 19]'));
    PERFORM publish_sync_job_event('stock_sync_complete', result);
    IF success > 0 THEN
        PERFORM enqueue_background_job('stock_sync.write_report',
            jsonb_build_object('sync_job', current_sync_job(), 'outlet_group', coalesce(outlet_group, 'all')),
            queue => 'short', title => 'Stock sync report', after => ARRAY[current_sync_job()]);
    END IF;
END $$;

-- The job after it.
CREATE FUNCTION stock_sync.write_report(sync_job bigint, outlet_group text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO stock_sync.report (sync_job, outlet_group, summary)
    SELECT j.id, write_report.outlet_group, j.result FROM sync_job AS j WHERE j.id = write_report.sync_job
$$;
