-- Nightly clean-up, in steps that are committed, so that no long transaction holds up others.
CREATE SCHEMA nightly_cleanup;

CREATE TABLE nightly_cleanup.error_log (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message    text,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON nightly_cleanup.error_log (created_at);
CREATE TABLE nightly_cleanup.session (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    last_seen timestamptz NOT NULL DEFAULT now()
);

CREATE PROCEDURE nightly_cleanup.run(log_days integer DEFAULT 30, session_days integer DEFAULT 7, INOUT result jsonb DEFAULT NULL)
LANGUAGE plpgsql AS $$
DECLARE
    step CONSTANT integer := 1000;
    deleted integer;
    logs integer := 0;
    sessions integer;
BEGIN
    LOOP
        DELETE FROM nightly_cleanup.error_log WHERE id IN (
            SELECT id FROM nightly_cleanup.error_log WHERE created_at < now() - make_interval(days => log_days) LIMIT step);
        GET DIAGNOSTICS deleted = ROW_COUNT;
        logs := logs + deleted;
        COMMIT;
        EXIT WHEN deleted < step;
    END LOOP;
    DELETE FROM nightly_cleanup.session WHERE last_seen < now() - make_interval(days => session_days);
    GET DIAGNOSTICS sessions = ROW_COUNT;
    result := jsonb_build_object('error_log', logs, 'session', sessions);
END $$;
