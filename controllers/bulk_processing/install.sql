-- Bulk processing: a large table in chunk jobs that run side by side, and one summary when all have ended.
CREATE SCHEMA bulk_processing;

CREATE TABLE bulk_processing.item (
    id     integer PRIMARY KEY,
    value  text NOT NULL,
    result integer
);
CREATE TABLE bulk_processing.summary (
    job_group text PRIMARY KEY,
    chunks    integer NOT NULL,
    failed    integer NOT NULL,
    items     integer NOT NULL
);

-- A job for each chunk, and one that waits for all of them. Returns the number of that one.
CREATE FUNCTION bulk_processing.start(job_group text, chunk_size integer DEFAULT 100) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    chunks bigint[];
BEGIN
    SELECT coalesce(array_agg(enqueue_background_job('bulk_processing.process_chunk',
            jsonb_build_object('first', c.first, 'last', c.last),
            queue => 'long', job_group => start.job_group, max_retries => 2, retry_delay => '1 second',
            title => format('Items %s to %s', c.first, c.last))), '{}')
    INTO chunks
    FROM (SELECT min(n.id) AS first, max(n.id) AS last
          FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1) / chunk_size AS chunk FROM bulk_processing.item) AS n
          GROUP BY n.chunk ORDER BY n.chunk) AS c;
    RETURN enqueue_background_job('bulk_processing.summarize', jsonb_build_object('job_group', job_group),
        queue => 'short', title => 'Summary of ' || job_group, after => chunks, after_failure => 'run');
END $$;

-- One chunk: all of it, or on an error nothing. How many items it was is its result.
CREATE FUNCTION bulk_processing.process_chunk(first integer, last integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    processed integer;
BEGIN
    UPDATE bulk_processing.item SET result = value::integer * 2 WHERE id BETWEEN first AND last;
    GET DIAGNOSTICS processed = ROW_COUNT;
    RETURN processed;
END $$;

CREATE FUNCTION bulk_processing.summarize(job_group text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    summary bulk_processing.summary;
BEGIN
    INSERT INTO bulk_processing.summary
    SELECT summarize.job_group, count(*), count(*) FILTER (WHERE j.status <> 'Finished'), coalesce(sum(j.result::integer), 0)
    FROM sync_job AS j WHERE j.job_group = summarize.job_group
    RETURNING * INTO summary;
    PERFORM publish_sync_job_event('bulk_processing_complete', to_jsonb(summary));
END $$;
