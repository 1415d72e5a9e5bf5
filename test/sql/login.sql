-- Roles that may not log in. Before PostgreSQL 17 no worker can be connected as one (login.out), since then it can (login_1.out).
CREATE EXTENSION pg_sync_job;
UPDATE sync_job_queue SET max_workers = 0;  -- nothing runs
CREATE ROLE regress_nologin;
GRANT CREATE ON SCHEMA public TO regress_nologin;
CREATE PROCEDURE nothing() LANGUAGE sql AS '';
INSERT INTO sync_job_type (name, run_as) VALUES ('As One Who Cannot Log In', 'regress_nologin');
SELECT name FROM sync_job_type WHERE run_as = 'regress_nologin'::regrole;
SET ROLE regress_nologin;
SELECT enqueue_background_job('nothing');
RESET ROLE;
-- One that may log in no longer.
ALTER ROLE regress_nologin LOGIN;
INSERT INTO sync_job_type (name, module, run_as) VALUES ('Later', 'later', 'regress_nologin');
ALTER ROLE regress_nologin NOLOGIN;
SELECT severity, message, hint FROM validate_sync_job_type('Later') WHERE object = 'run_as';
DELETE FROM sync_job;
DELETE FROM sync_job_type WHERE run_as = 'regress_nologin'::regrole;
DROP OWNED BY regress_nologin;
DROP ROLE regress_nologin;
