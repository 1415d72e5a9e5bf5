-- What the tests of the console find: roles that log in with the password "secret", one for each level, and one without any.
CREATE ROLE viewer LOGIN PASSWORD 'secret';
CREATE ROLE operator LOGIN PASSWORD 'secret';
CREATE ROLE manager LOGIN PASSWORD 'secret';
CREATE ROLE nobody_else LOGIN PASSWORD 'secret';
CREATE ROLE admin SUPERUSER LOGIN PASSWORD 'secret';
CREATE EXTENSION pg_sync_job;
SELECT grant_sync_job_access('viewer', 'viewer'), grant_sync_job_access('operator', 'operator'), grant_sync_job_access('manager', 'manager');
