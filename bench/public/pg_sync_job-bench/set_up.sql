-- The job type of main.py: a job takes as long as its context says, and leaves a row if the context asks for one.
CREATE TABLE effect (job bigint NOT NULL);
CREATE SCHEMA public_benchmark;
CREATE FUNCTION public_benchmark.execute(sync_job sync_job, source_doc jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_sleep((sync_job.context ->> 'ms')::float8 / 1000);
    IF (sync_job.context ->> 'effect')::boolean THEN
        INSERT INTO effect VALUES (sync_job.id);
    END IF;
    RETURN NULL;
END $$;
INSERT INTO sync_job_type (name, module, batchable) VALUES ('Public Benchmark', 'public_benchmark', true);
