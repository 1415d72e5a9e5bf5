\echo Use "ALTER EXTENSION pg_sync_job UPDATE TO '1.0.0'" to load this file. \quit
