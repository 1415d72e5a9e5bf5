-- ---------------------------------------------------------------------------------------------------------------------
-- For programs that show jobs to people: all with the rights of the caller
-- ---------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION sync_job_internal.act_on_jobs(action text, ids bigint[], context jsonb DEFAULT NULL, reason text DEFAULT NULL,
        running boolean DEFAULT false, OUT id bigint, OUT status text, OUT job bigint, OUT error jsonb) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    code text;
    message text;
    detail text;
    hint text;
BEGIN
    IF (action IN ('start', 'retry', 'cancel', 'pause', 'rerun', 'delete')) IS NOT TRUE THEN
        RAISE EXCEPTION USING ERRCODE := '22023', MESSAGE := pg_catalog.format('invalid action: "%s"', coalesce(action, 'NULL')),
            HINT := 'Valid actions are: start, retry, cancel, pause, rerun, delete.';
    END IF;
    IF pg_catalog.cardinality(ids) OPERATOR(pg_catalog.>) 500 THEN
        RAISE EXCEPTION USING ERRCODE := '22023', MESSAGE := pg_catalog.format('too many jobs at once: %s', pg_catalog.cardinality(ids)),
            HINT := 'At most 500 at a time.';
    END IF;
    FOREACH id IN ARRAY ids LOOP
        status := NULL;
        job := NULL;
        error := NULL;
        BEGIN
            IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>) (pg_catalog.statement_timestamp() OPERATOR(pg_catalog.+) '15 s'::pg_catalog.interval) THEN
                error := pg_catalog.jsonb_build_object('code', '57014', 'message', 'not reached in time', 'hint', 'Ask for it once more.');
            ELSIF action OPERATOR(pg_catalog.=) 'start' THEN
                status := (SELECT j.status FROM @extschema@.start_sync_job(id) AS j);
            ELSIF action OPERATOR(pg_catalog.=) 'retry' THEN
                status := (SELECT j.status FROM @extschema@.retry_sync_job(id, context) AS j);
            ELSIF action OPERATOR(pg_catalog.=) 'cancel' THEN
                status := (SELECT j.status FROM @extschema@.cancel_sync_job(id, reason, running) AS j);
            ELSIF action OPERATOR(pg_catalog.=) 'pause' THEN
                status := (SELECT j.status FROM @extschema@.pause_sync_job(id) AS j);
            ELSIF action OPERATOR(pg_catalog.=) 'rerun' THEN
                job := @extschema@.rerun_sync_job(id, context);
            ELSE
                PERFORM @extschema@.delete_sync_job(id);
            END IF;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS code := RETURNED_SQLSTATE, message := MESSAGE_TEXT, detail := PG_EXCEPTION_DETAIL, hint := PG_EXCEPTION_HINT;
            error := pg_catalog.jsonb_build_object('code', code, 'message', message, 'detail', detail, 'hint', hint);
        END;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION sync_job_internal.act_on_jobs(text, bigint[], jsonb, text, boolean) IS 'starts, retries, cancels, pauses, reruns or deletes at most 500 jobs, one after the other, with the rights of the caller: a job that fails has its error in its row, and the others are not undone. After 15 s the rest is left (57014)';

CREATE FUNCTION sync_job_internal.write_type(name text, definition jsonb) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    given text[];
    unknown text;
    columns text;
    fields text;
    written bigint;
BEGIN
    -- For a new type, null means the default. For an existing one, null is a value.
    given := ARRAY(SELECT e.key FROM pg_catalog.jsonb_each(definition) AS e
                   WHERE write_type.name IS NOT NULL OR e.value OPERATOR(pg_catalog.<>) 'null'::pg_catalog.jsonb ORDER BY e.key);
    unknown := (SELECT pg_catalog.min(k) FROM pg_catalog.unnest(given) AS k
                WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                                  WHERE a.attrelid OPERATOR(pg_catalog.=) '@extschema@.sync_job_type'::pg_catalog.regclass
                                      AND a.attname::pg_catalog.text OPERATOR(pg_catalog.=) k
                                      AND a.attnum OPERATOR(pg_catalog.>) 0::pg_catalog.int2 AND NOT a.attisdropped));
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE := '42703', MESSAGE := pg_catalog.format('table sync_job_type has no column "%s"', unknown);
    END IF;
    IF pg_catalog.cardinality(given) OPERATOR(pg_catalog.=) 0 THEN
        RAISE EXCEPTION USING ERRCODE := '22023', MESSAGE := 'the definition names no column';
    END IF;
    columns := (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(k), ', ') FROM pg_catalog.unnest(given) AS k);
    fields := (SELECT pg_catalog.string_agg(pg_catalog.format('d.%I', k), ', ') FROM pg_catalog.unnest(given) AS k);
    IF name IS NULL THEN
        EXECUTE pg_catalog.format('INSERT INTO @extschema@.sync_job_type (%s) SELECT %s FROM pg_catalog.jsonb_populate_record('
            'NULL::@extschema@.sync_job_type, $1) AS d', columns, fields) USING definition;
        RETURN definition OPERATOR(pg_catalog.->>) 'name';
    END IF;
    EXECUTE pg_catalog.format('UPDATE @extschema@.sync_job_type AS t SET (%s) = ROW(%s) FROM pg_catalog.jsonb_populate_record('
        'NULL::@extschema@.sync_job_type, $1) AS d WHERE t.name OPERATOR(pg_catalog.=) $2', columns, fields) USING definition, name;
    GET DIAGNOSTICS written := ROW_COUNT;
    IF written OPERATOR(pg_catalog.=) 0 THEN
        RAISE EXCEPTION USING ERRCODE := '42704', MESSAGE := pg_catalog.format('sync job type "%s" does not exist', name);
    END IF;
    RETURN coalesce(definition OPERATOR(pg_catalog.->>) 'name', name);
END $$;
COMMENT ON FUNCTION sync_job_internal.write_type(text, jsonb) IS 'creates a job type (name null) or changes one, with the rights of the caller. definition: a JSON object of columns of sync_job_type and their values; relations with their schema. Returns the name';
