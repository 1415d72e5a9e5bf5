-- Retry, and a notification when the last retry has failed as well.
CREATE SCHEMA retry_notification;

-- Stands for a service that may be down.
CREATE TABLE retry_notification.service (
    name          text PRIMARY KEY,
    calls_to_fail integer NOT NULL
);
CREATE SEQUENCE retry_notification.calls;  -- not rolled back with an attempt that fails
CREATE TABLE retry_notification.outbox (
    recipient text NOT NULL,
    subject   text NOT NULL,
    body      text NOT NULL
);

CREATE FUNCTION retry_notification.start(service text) RETURNS bigint LANGUAGE sql AS $$
    SELECT enqueue_background_job('retry_notification.call_service', jsonb_build_object('service', service),
        max_retries => 3, retry_delay => '100 milliseconds', on_failure => 'retry_notification.tell_operator')
$$;

CREATE FUNCTION retry_notification.call_service(service text) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    call integer := nextval('retry_notification.calls');
BEGIN
    IF call <= (SELECT s.calls_to_fail FROM retry_notification.service AS s WHERE s.name = service) THEN
        RAISE EXCEPTION 'service % does not answer', service USING ERRCODE = 'connection_failure';
    END IF;
    RETURN call;
END $$;

-- Called once, when no retry is left: the job, what it was called with, and the last error.
CREATE FUNCTION retry_notification.tell_operator(sync_job bigint, args jsonb, error jsonb) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO retry_notification.outbox
    VALUES ('operator', format('Service %s: given up', args->>'service'), error->>'message');
    PERFORM publish_sync_job_event('service_failed', jsonb_build_object('sync_job', sync_job));
END $$;
