-- ---------------------------------------------------------------------------------------------------------------------
-- More than one machine: each node has its own jobs, with its number in their ids. The others are asked through dblink, with the
-- user mapping of the caller
-- ---------------------------------------------------------------------------------------------------------------------

CREATE TABLE @extschema@.sync_job_node (
    node   integer PRIMARY KEY CHECK (node OPERATOR(pg_catalog.>=) 1 AND node OPERATOR(pg_catalog.<=) 254),
    server text COLLATE "C" NOT NULL UNIQUE
);
COMMENT ON TABLE @extschema@.sync_job_node IS 'The databases whose jobs are shown together, and the foreign servers through which they are reached';
COMMENT ON COLUMN @extschema@.sync_job_node.node IS 'number of the node, as set there by set_sync_job_node(): id >> 40 of its jobs';
COMMENT ON COLUMN @extschema@.sync_job_node.server IS 'name of a foreign server of dblink_fdw or postgres_fdw, owned by a superuser or by the caller; the one of this database itself is not used';
SELECT pg_catalog.pg_extension_config_dump('@extschema@.sync_job_node', '');
-- Closed even to roles with rights on all tables of the schema: it decides where rights are used.
ALTER TABLE @extschema@.sync_job_node ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON @extschema@.sync_job_node FOR SELECT USING (true);
GRANT SELECT ON @extschema@.sync_job_node TO PUBLIC;

CREATE FUNCTION @extschema@.set_sync_job_node(node integer) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_set_node';
COMMENT ON FUNCTION @extschema@.set_sync_job_node(integer) IS 'gives this database its number among the nodes, 1 to 254: ids of new jobs begin at node << 40. A database that had another number before is a copy: the jobs that wait in it need adopt_sync_jobs()';

CREATE FUNCTION @extschema@.get_sync_job(id bigint) RETURNS @extschema@.sync_job
    LANGUAGE c VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_get';
COMMENT ON FUNCTION @extschema@.get_sync_job(bigint) IS 'a job, here or at another node; relations and roles of another node are NULL if this database has none of that name; what the caller may not read is NULL';

CREATE FUNCTION sync_job_internal.this_node() RETURNS integer
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS 'SELECT max(node) FROM sync_job_internal.home';
COMMENT ON FUNCTION sync_job_internal.this_node() IS 'number of this database among the nodes; NULL: none';

-- A server that another role may point elsewhere is not asked: that role would see what is sent.
CREATE FUNCTION sync_job_internal.connect_node(node integer, server text) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    dblink text := (SELECT pg_catalog.quote_ident(n.nspname) FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n
                        ON n.oid OPERATOR(pg_catalog.=) e.extnamespace WHERE e.extname OPERATOR(pg_catalog.=) 'dblink');
    connection text := pg_catalog.format('sync_job_node_%s', node);
    open boolean;
    owner regrole;
BEGIN
    IF dblink IS NULL THEN
        RAISE EXCEPTION USING ERRCODE := '0A000', MESSAGE := 'other nodes are asked with the extension dblink, which is not here',
            HINT := 'CREATE EXTENSION dblink;';
    END IF;
    owner := (SELECT s.srvowner FROM pg_catalog.pg_foreign_server AS s WHERE s.srvname::pg_catalog.text OPERATOR(pg_catalog.=) server);
    IF owner IS NULL THEN
        RAISE EXCEPTION USING ERRCODE := '42704', MESSAGE := pg_catalog.format('server "%s" of node %s does not exist', server, node);
    END IF;
    IF owner::pg_catalog.oid OPERATOR(pg_catalog.<>) (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname OPERATOR(pg_catalog.=) current_user)
        AND NOT (SELECT r.rolsuper FROM pg_catalog.pg_roles AS r WHERE r.oid OPERATOR(pg_catalog.=) owner::pg_catalog.oid) THEN
        RAISE EXCEPTION USING ERRCODE := '42501', MESSAGE := pg_catalog.format('server "%s" of node %s belongs to role "%s", which may point it elsewhere', server, node, owner),
            HINT := 'Its owner must be a superuser, or the role that asks.';
    END IF;
    EXECUTE pg_catalog.format('SELECT coalesce($1 = ANY (%s.dblink_get_connections()), false)', dblink) INTO STRICT open USING connection;
    IF open THEN -- left by a call that was interrupted
        PERFORM sync_job_internal.disconnect_node(node, dblink);
    END IF;
    EXECUTE pg_catalog.format('SELECT %s.dblink_connect($1, $2)', dblink) USING connection, server;
    EXECUTE pg_catalog.format('SELECT %s.dblink_exec($1, $2)', dblink) USING connection, 'SET search_path = pg_catalog, pg_temp';
    RETURN dblink;
END $$;
COMMENT ON FUNCTION sync_job_internal.connect_node(integer, text) IS 'connects to a node with the user mapping of the caller, and returns the schema of dblink';

CREATE FUNCTION sync_job_internal.disconnect_node(node integer, dblink text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    connection text := pg_catalog.format('sync_job_node_%s', node);
BEGIN
    EXECUTE pg_catalog.format('SELECT CASE WHEN %1$s.dblink_is_busy($1) = 1 THEN %1$s.dblink_cancel_query($1) END', dblink) USING connection;
    EXECUTE pg_catalog.format('SELECT %s.dblink_disconnect($1)', dblink) USING connection;
EXCEPTION WHEN OTHERS THEN
    NULL; -- there is no such connection
END $$;
COMMENT ON FUNCTION sync_job_internal.disconnect_node(integer, text) IS 'closes a connection to a node, and cancels what runs there';

-- dblink's own wait cannot be interrupted.
CREATE FUNCTION sync_job_internal.await_node(node integer, dblink text, longest_pause double precision) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    pause double precision := 0.001;
    busy integer;
BEGIN
    LOOP
        EXECUTE pg_catalog.format('SELECT %s.dblink_is_busy($1)', dblink) INTO STRICT busy USING pg_catalog.format('sync_job_node_%s', node);
        EXIT WHEN busy OPERATOR(pg_catalog.=) 0;
        PERFORM pg_catalog.pg_sleep(pause);
        pause := LEAST(pause OPERATOR(pg_catalog.*) 2::pg_catalog.float8, longest_pause);
    END LOOP;
END $$;
COMMENT ON FUNCTION sync_job_internal.await_node(integer, text, double precision) IS 'waits for the answer of a node; checks for it at intervals of at most longest_pause seconds';

CREATE FUNCTION sync_job_internal.call_node(node integer, statement text) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    connection text := pg_catalog.format('sync_job_node_%s', node);
    server text := (SELECT n.server FROM @extschema@.sync_job_node AS n WHERE n.node OPERATOR(pg_catalog.=) call_node.node);
    dblink text;
    answer text;
BEGIN
    IF server IS NULL THEN
        RAISE EXCEPTION USING ERRCODE := '42704', MESSAGE := pg_catalog.format('node %s is not in sync_job_node', node);
    END IF;
    dblink := sync_job_internal.connect_node(node, server);
    BEGIN
        EXECUTE pg_catalog.format('SELECT %s.dblink_send_query($1, $2)', dblink) USING connection, statement;
        PERFORM sync_job_internal.await_node(node, dblink, 0.05);
        EXECUTE pg_catalog.format('SELECT a FROM %s.dblink_get_result($1) AS t (a text)', dblink) INTO STRICT answer USING connection;
    EXCEPTION WHEN query_canceled OR OTHERS THEN
        PERFORM sync_job_internal.disconnect_node(node, dblink);
        RAISE;
    END;
    PERFORM sync_job_internal.disconnect_node(node, dblink);
    RETURN answer;
END $$;
COMMENT ON FUNCTION sync_job_internal.call_node(integer, text) IS 'runs a statement at another node, in a transaction of its own there, with the rights of the caller''s user mapping; returns the one text that it returns. Its error is raised here';

-- All nodes are asked before the wait for the first answer. A node that cannot be asked, or fails, is reported as a problem; the others go on.
CREATE FUNCTION sync_job_internal.read_nodes(query text, warn boolean DEFAULT false, OUT node integer, OUT server text, OUT answer jsonb,
        OUT problem text) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    here integer := sync_job_internal.this_node();
    dblink text;
    asked integer[] := '{}';
    n record;
    connection text;
    answers bigint;
    detail text;
BEGIN
    node := here;
    server := (SELECT s.server FROM @extschema@.sync_job_node AS s WHERE s.node OPERATOR(pg_catalog.=) here);
    FOR answer IN EXECUTE pg_catalog.format('SELECT to_jsonb(q) FROM (%s) AS q', query) LOOP
        RETURN NEXT;
    END LOOP;
    FOR n IN SELECT s.node, s.server, step FROM @extschema@.sync_job_node AS s, pg_catalog.generate_series(1, 2) AS step
             WHERE s.node IS DISTINCT FROM (here) ORDER BY step, s.node LOOP
        CONTINUE WHEN n.step OPERATOR(pg_catalog.=) 2 AND (n.node OPERATOR(pg_catalog.=) ANY (asked)) IS NOT TRUE;
        node := n.node;
        server := n.server;
        answer := NULL;
        problem := NULL;
        connection := pg_catalog.format('sync_job_node_%s', node);
        BEGIN
            IF n.step OPERATOR(pg_catalog.=) 1 THEN
                dblink := sync_job_internal.connect_node(node, server);
                EXECUTE pg_catalog.format('SELECT %s.dblink_exec($1, $2)', dblink) USING connection, 'BEGIN READ ONLY';
                EXECUTE pg_catalog.format('SELECT %s.dblink_exec($1, $2)', dblink) USING connection,
                    pg_catalog.format('DECLARE answer CURSOR FOR SELECT to_jsonb(q)::text FROM (%s) AS q', query);
                EXECUTE pg_catalog.format('SELECT %s.dblink_send_query($1, $2)', dblink) USING connection, 'FETCH 1000 FROM answer';
                asked := pg_catalog.array_append(asked, node);
                CONTINUE;
            END IF;
            LOOP
                PERFORM sync_job_internal.await_node(node, dblink, 0.001); -- each check reads some 30 kB
                answers := 0;
                FOR answer IN EXECUTE pg_catalog.format('SELECT a::jsonb FROM %s.dblink_get_result($1) AS t (a text)', dblink) USING connection LOOP
                    answers := answers OPERATOR(pg_catalog.+) 1::pg_catalog.int8;
                    RETURN NEXT;
                END LOOP;
                EXIT WHEN answers OPERATOR(pg_catalog.<) 1000::pg_catalog.int8;
                EXECUTE pg_catalog.format('SELECT count(*) FROM %s.dblink_get_result($1) AS t (a text)', dblink) USING connection; -- ends the previous query
                EXECUTE pg_catalog.format('SELECT %s.dblink_send_query($1, $2)', dblink) USING connection, 'FETCH 1000 FROM answer';
            END LOOP;
        EXCEPTION
            WHEN query_canceled THEN
                FOR n IN SELECT s.node FROM @extschema@.sync_job_node AS s LOOP
                    PERFORM sync_job_internal.disconnect_node(n.node, dblink);
                END LOOP;
                RAISE;
            WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS problem := MESSAGE_TEXT, detail := PG_EXCEPTION_DETAIL;
                problem := pg_catalog.concat_ws(': ', problem, NULLIF(pg_catalog.replace(detail, E'\n', ' '), ''));
        END;
        PERFORM sync_job_internal.disconnect_node(node, dblink);
        CONTINUE WHEN problem IS NULL;
        answer := NULL;
        IF warn THEN
            RAISE WARNING 'node % cannot be asked: %', node, problem;
        ELSE
            problem := pg_catalog.format('cannot be asked: %s', problem);
            RETURN NEXT;
        END IF;
    END LOOP;
END $$;
COMMENT ON FUNCTION sync_job_internal.read_nodes(text, boolean) IS 'the rows of a query at this database and at all others of sync_job_node, with the rights of the caller''s user mappings; a node that cannot be asked has one row with the problem, or a warning';

-- Relations and roles are looked up by name; NULL where they do not exist here.
CREATE FUNCTION sync_job_internal.job_of_node(job jsonb) RETURNS @extschema@.sync_job
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT pg_catalog.jsonb_populate_record(NULL::@extschema@.sync_job, job OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object(
        'source_document_type', pg_catalog.to_regclass(job OPERATOR(pg_catalog.->>) 'source_document_type'),
        'target_document_type', pg_catalog.to_regclass(job OPERATOR(pg_catalog.->>) 'target_document_type'),
        'triggered_by_document_type', pg_catalog.to_regclass(job OPERATOR(pg_catalog.->>) 'triggered_by_document_type'),
        'run_as', pg_catalog.to_regrole(job OPERATOR(pg_catalog.->>) 'run_as'), 'owner', pg_catalog.to_regrole(job OPERATOR(pg_catalog.->>) 'owner'),
        'enqueued_by', pg_catalog.to_regrole(job OPERATOR(pg_catalog.->>) 'enqueued_by')))
    $$;
COMMENT ON FUNCTION sync_job_internal.job_of_node(jsonb) IS 'a job of another node as a row';

CREATE VIEW @extschema@.sync_job_everywhere WITH (security_invoker = true) AS
    SELECT n.node, j.id, j.sync_job_type, j.title, j.status, j.source_document_type, j.source_document_name, j.target_document_type,
        j.target_document_name, j.operation, j.queue, j.priority, j.retry_count, j.retry_after, j.scheduled_at, j.created_at, j.started_at,
        j.ended_at, j.error_message, j.job_id, j.parent_sync_job, j.run_as, j.owner, n.answer AS job
    FROM sync_job_internal.read_nodes('SELECT * FROM @extschema@.sync_job', true) AS n
    CROSS JOIN LATERAL pg_catalog.jsonb_to_record(n.answer) AS j (id bigint, sync_job_type text, title text, status text, source_document_type text,
        source_document_name text, target_document_type text, target_document_name text, operation text, queue text, priority integer,
        retry_count integer, retry_after timestamptz, scheduled_at timestamptz, created_at timestamptz, started_at timestamptz,
        ended_at timestamptz, error_message text, job_id text, parent_sync_job bigint, run_as text, owner text);
COMMENT ON VIEW @extschema@.sync_job_everywhere IS 'The jobs of this database and of all nodes; a node that cannot be asked is left out, with a warning. All rows are fetched: sync_jobs_everywhere() fetches only some';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.node IS 'where the job is; NULL: in this database, which has no node number';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.id IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.sync_job_type IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.title IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.status IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.source_document_type IS 'as in sync_job, as text: the relation need not exist here';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.source_document_name IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.target_document_type IS 'as in sync_job, as text: the relation need not exist here';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.target_document_name IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.operation IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.queue IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.priority IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.retry_count IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.retry_after IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.scheduled_at IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.created_at IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.started_at IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.ended_at IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.error_message IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.job_id IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.parent_sync_job IS 'as in sync_job';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.run_as IS 'as in sync_job, as text: the role need not exist here';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.owner IS 'as in sync_job, as text: the role need not exist here';
COMMENT ON COLUMN @extschema@.sync_job_everywhere.job IS 'the whole row of sync_job';
GRANT SELECT ON @extschema@.sync_job_everywhere TO PUBLIC;

CREATE FUNCTION @extschema@.sync_jobs_everywhere(condition text DEFAULT NULL, max_rows integer DEFAULT 1000) RETURNS SETOF @extschema@.sync_job_everywhere
    LANGUAGE sql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT pg_catalog.jsonb_populate_record(NULL::@extschema@.sync_job_everywhere,
        n.answer OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object('node', n.node, 'job', n.answer))
    FROM sync_job_internal.read_nodes(pg_catalog.format('SELECT * FROM @extschema@.sync_job WHERE %s ORDER BY id DESC LIMIT %L',
        coalesce('(' OPERATOR(pg_catalog.||) condition OPERATOR(pg_catalog.||) E'\n)', 'true'), max_rows), true) AS n
    $$;
COMMENT ON FUNCTION @extschema@.sync_jobs_everywhere(text, integer) IS 'the newest jobs of this database and of all nodes, at most max_rows of each (NULL: all). condition: SQL over the columns of sync_job, for each node';

CREATE VIEW @extschema@.sync_job_queue_status_everywhere WITH (security_invoker = true) AS
    SELECT n.node, n.server, q.queue, q.paused, q.max_workers, q.workers, q.running, q.waiting, q.scheduled, q.oldest_waiting,
        coalesce(n.problem, q.note) AS note, q.failed, q.retrying
    FROM sync_job_internal.read_nodes('SELECT * FROM @extschema@.sync_job_queue_status') AS n
    LEFT JOIN LATERAL pg_catalog.jsonb_to_record(n.answer) AS q (queue text, paused boolean, max_workers integer, workers bigint, running bigint,
        waiting bigint, scheduled bigint, oldest_waiting timestamptz, note text, failed bigint, retrying bigint) ON true;
COMMENT ON VIEW @extschema@.sync_job_queue_status_everywhere IS 'sync_job_queue_status of this database and of all nodes; a node that cannot be asked has one row, whose note says why';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.node IS 'the node; NULL: this database, which has no node number';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.server IS 'its foreign server; NULL: this database is not in sync_job_node';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.queue IS 'as in sync_job_queue_status; NULL: the node cannot be asked';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.paused IS 'as in sync_job_queue_status';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.max_workers IS 'as in sync_job_queue_status';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.workers IS 'as in sync_job_queue_status';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.running IS 'as in sync_job_queue_status';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.waiting IS 'as in sync_job_queue_status';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.scheduled IS 'as in sync_job_queue_status';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.oldest_waiting IS 'as in sync_job_queue_status';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.note IS 'as in sync_job_queue_status; or why the node cannot be asked';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.failed IS 'as in sync_job_queue_status';
COMMENT ON COLUMN @extschema@.sync_job_queue_status_everywhere.retrying IS 'as in sync_job_queue_status';
GRANT SELECT ON @extschema@.sync_job_queue_status_everywhere TO PUBLIC;

CREATE VIEW @extschema@.sync_job_freshness_everywhere WITH (security_invoker = true) AS
    SELECT n.node, n.server, f.sync_job_type, f.oldest_change, f.waiting, f.running, f.retrying, f.failed, f.last_success, f.per_minute,
        f.latency_p50, f.latency_p95, n.problem AS note
    FROM sync_job_internal.read_nodes('SELECT * FROM @extschema@.sync_job_freshness') AS n
    LEFT JOIN LATERAL pg_catalog.jsonb_to_record(n.answer) AS f (sync_job_type text, oldest_change timestamptz, waiting bigint, running bigint,
        retrying bigint, failed bigint, last_success timestamptz, per_minute numeric, latency_p50 interval, latency_p95 interval) ON true;
COMMENT ON VIEW @extschema@.sync_job_freshness_everywhere IS 'sync_job_freshness of this database and of all nodes; a node that cannot be asked has one row, whose note says why';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.node IS 'the node; NULL: this database, which has no node number';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.server IS 'its foreign server; NULL: this database is not in sync_job_node';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.sync_job_type IS 'as in sync_job_freshness; NULL: the node cannot be asked';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.oldest_change IS 'as in sync_job_freshness';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.waiting IS 'as in sync_job_freshness';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.running IS 'as in sync_job_freshness';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.retrying IS 'as in sync_job_freshness';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.failed IS 'as in sync_job_freshness';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.last_success IS 'as in sync_job_freshness';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.per_minute IS 'as in sync_job_freshness';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.latency_p50 IS 'as in sync_job_freshness';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.latency_p95 IS 'as in sync_job_freshness';
COMMENT ON COLUMN @extschema@.sync_job_freshness_everywhere.note IS 'why the node cannot be asked; NULL: it has answered';
GRANT SELECT ON @extschema@.sync_job_freshness_everywhere TO PUBLIC;

CREATE VIEW @extschema@.sync_job_node_status WITH (security_invoker = true) AS
    SELECT n.node, n.server, r.version, NULLIF(pg_catalog.concat_ws('; ', n.problem,
        CASE WHEN n.answer IS NOT NULL AND n.node IS DISTINCT FROM r.number
            THEN pg_catalog.format('answers as %s: another database, a copy, or set_sync_job_node(%s) is missing there', coalesce(pg_catalog.concat('node ', r.number), 'no node'), n.node) END,
        CASE WHEN r.version OPERATOR(pg_catalog.<>) (SELECT e.extversion FROM pg_catalog.pg_extension AS e WHERE e.extname OPERATOR(pg_catalog.=) 'pg_sync_job')
            THEN 'has another version than this database' END,
        CASE WHEN r.standby THEN 'is a standby' END, CASE WHEN r.copied AND NOT r.standby THEN 'waits for adopt_sync_jobs()' END), '') AS note
    FROM sync_job_internal.read_nodes('SELECT sync_job_internal.this_node() AS number, sync_job_internal.waiting_elsewhere() AS copied,
        pg_catalog.pg_is_in_recovery() AS standby, e.extversion AS version FROM pg_catalog.pg_extension AS e WHERE e.extname = ''pg_sync_job''') AS n
    LEFT JOIN LATERAL pg_catalog.jsonb_to_record(n.answer) AS r (number integer, copied boolean, standby boolean, version text) ON true;
COMMENT ON VIEW @extschema@.sync_job_node_status IS 'This database and all nodes: whether each can be asked, and whether it is what sync_job_node says';
COMMENT ON COLUMN @extschema@.sync_job_node_status.node IS 'the node; NULL: this database, which has no node number';
COMMENT ON COLUMN @extschema@.sync_job_node_status.server IS 'its foreign server; NULL: this database is not in sync_job_node';
COMMENT ON COLUMN @extschema@.sync_job_node_status.version IS 'of the extension there; NULL: the node cannot be asked';
COMMENT ON COLUMN @extschema@.sync_job_node_status.note IS 'what is wrong; NULL: nothing';
GRANT SELECT ON @extschema@.sync_job_node_status TO PUBLIC;

-- Runs at the node that is brought up to date, with the rights of the user mapping.
CREATE FUNCTION sync_job_internal.take_setup(setup jsonb) RETURNS integer
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    e jsonb;
    own jsonb;
    queue @extschema@.sync_job_queue;
    written integer := 0;
BEGIN
    FOR e IN SELECT value FROM pg_catalog.jsonb_array_elements(setup OPERATOR(pg_catalog.->) 'nodes') LOOP
        CONTINUE WHEN EXISTS (SELECT FROM @extschema@.sync_job_node AS n WHERE pg_catalog.to_jsonb(n) OPERATOR(pg_catalog.=) e);
        DELETE FROM @extschema@.sync_job_node AS n WHERE n.node OPERATOR(pg_catalog.=) (e OPERATOR(pg_catalog.->>) 'node')::pg_catalog.int4;
        INSERT INTO @extschema@.sync_job_node (node, server) VALUES ((e OPERATOR(pg_catalog.->>) 'node')::pg_catalog.int4, e OPERATOR(pg_catalog.->>) 'server');
        written := written OPERATOR(pg_catalog.+) 1;
    END LOOP;
    FOR e IN SELECT value FROM pg_catalog.jsonb_array_elements(setup OPERATOR(pg_catalog.->) 'queues') LOOP
        own := (SELECT pg_catalog.to_jsonb(q) FROM @extschema@.sync_job_queue AS q WHERE q.name OPERATOR(pg_catalog.=) (e OPERATOR(pg_catalog.->>) 'name'));
        CONTINUE WHEN own OPERATOR(pg_catalog.@>) e;
        queue := pg_catalog.jsonb_populate_record(NULL::@extschema@.sync_job_queue, e);
        IF own IS NULL THEN
            INSERT INTO @extschema@.sync_job_queue (name, max_workers, timeout, publish_events) VALUES (queue.name, queue.max_workers, queue.timeout, queue.publish_events);
        ELSE
            UPDATE @extschema@.sync_job_queue AS q SET max_workers = queue.max_workers, timeout = queue.timeout, publish_events = queue.publish_events
            WHERE q.name OPERATOR(pg_catalog.=) queue.name;
        END IF;
        written := written OPERATOR(pg_catalog.+) 1;
    END LOOP;
    FOR e IN SELECT value FROM pg_catalog.jsonb_array_elements(setup OPERATOR(pg_catalog.->) 'types') LOOP
        own := (SELECT pg_catalog.to_jsonb(t) FROM @extschema@.sync_job_type AS t WHERE t.name OPERATOR(pg_catalog.=) (e OPERATOR(pg_catalog.->>) 'name'));
        CONTINUE WHEN own OPERATOR(pg_catalog.@>) e;
        PERFORM sync_job_internal.write_type(own OPERATOR(pg_catalog.->>) 'name', e);
        written := written OPERATOR(pg_catalog.+) 1;
    END LOOP;
    FOR e IN SELECT value FROM pg_catalog.jsonb_array_elements(setup OPERATOR(pg_catalog.->) 'levels') LOOP
        CONTINUE WHEN EXISTS (SELECT FROM sync_job_internal.access AS a WHERE pg_catalog.to_jsonb(a) OPERATOR(pg_catalog.=) e);
        PERFORM @extschema@.grant_sync_job_access((e OPERATOR(pg_catalog.->>) 'role')::pg_catalog.regrole, e OPERATOR(pg_catalog.->>) 'level');
        written := written OPERATOR(pg_catalog.+) 1;
    END LOOP;
    FOR e IN SELECT value FROM pg_catalog.jsonb_array_elements(setup OPERATOR(pg_catalog.->) 'grants') LOOP
        CONTINUE WHEN EXISTS (SELECT FROM sync_job_internal.type_grant AS g WHERE pg_catalog.to_jsonb(g) OPERATOR(pg_catalog.=) e);
        PERFORM @extschema@.grant_sync_job_type(e OPERATOR(pg_catalog.->>) 'sync_job_type', (e OPERATOR(pg_catalog.->>) 'role')::pg_catalog.regrole);
        written := written OPERATOR(pg_catalog.+) 1;
    END LOOP;
    RETURN written;
END $$;
COMMENT ON FUNCTION sync_job_internal.take_setup(jsonb) IS 'writes what propagate_sync_job_setup() of another node has sent, where it differs, with the rights of the caller; returns the number of rows written';

CREATE FUNCTION @extschema@.propagate_sync_job_setup(INOUT node integer DEFAULT NULL, OUT server text, OUT written integer, OUT problem text) RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    wanted integer := node;
    whole boolean := pg_catalog.has_table_privilege('sync_job_internal.access', 'SELECT');
    setup jsonb;
    n record;
    detail text;
BEGIN
    IF wanted IS NOT NULL AND NOT EXISTS (SELECT FROM @extschema@.sync_job_node AS s WHERE s.node OPERATOR(pg_catalog.=) wanted) THEN
        RAISE EXCEPTION USING ERRCODE := '42704', MESSAGE := pg_catalog.format('node %s is not in sync_job_node', wanted);
    END IF;
    setup := pg_catalog.jsonb_build_object(
        'queues', (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(q) OPERATOR(pg_catalog.-) 'paused'), '[]') FROM @extschema@.sync_job_queue AS q),
        'types', (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(t) OPERATOR(pg_catalog.-)
                      '{paused, created_at, modified_at, library_trusted}'::pg_catalog.text[]), '[]') FROM @extschema@.sync_job_type AS t),
        'grants', (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(g)), '[]') FROM sync_job_internal.type_grant AS g));
    IF whole THEN
        setup := setup OPERATOR(pg_catalog.||) pg_catalog.jsonb_build_object(
            'nodes', (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(s)), '[]') FROM @extschema@.sync_job_node AS s),
            'levels', (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.to_jsonb(a)), '[]') FROM sync_job_internal.access AS a));
    END IF;
    FOR n IN SELECT s.node, s.server FROM @extschema@.sync_job_node AS s
             WHERE s.node IS DISTINCT FROM sync_job_internal.this_node() AND (wanted IS NULL OR s.node OPERATOR(pg_catalog.=) wanted) ORDER BY s.node LOOP
        node := n.node;
        server := n.server;
        written := NULL;
        problem := NULL;
        BEGIN
            written := sync_job_internal.call_node(node, pg_catalog.format('SELECT sync_job_internal.take_setup(%L)', setup))::pg_catalog.int4;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS problem := MESSAGE_TEXT, detail := PG_EXCEPTION_DETAIL;
            problem := pg_catalog.concat_ws(': ', problem, NULLIF(pg_catalog.replace(detail, E'\n', ' '), ''));
        END;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION @extschema@.propagate_sync_job_setup(integer) IS 'copies job types, queues, grants and, for superusers, levels and sync_job_node from this database to all nodes, or to one: what is missing or different there is written, nothing is removed, and paused stays as it is. One transaction per node; returns one row per node: how many rows were written, or the problem';
