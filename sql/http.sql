-- ---------------------------------------------------------------------------------------------------------------------
-- HTTP push: endpoints are foreign servers, their secrets user mappings
-- ---------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION sync_job_internal.check_http_options(options text[], catalog oid) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'sync_job_check_http_options';
COMMENT ON FUNCTION sync_job_internal.check_http_options(text[], oid) IS 'validator of the wrapper sync_job_http: checks the options of servers, and the names of secrets in user mappings';
CREATE FOREIGN DATA WRAPPER sync_job_http NO HANDLER VALIDATOR sync_job_internal.check_http_options;
COMMENT ON FOREIGN DATA WRAPPER sync_job_http IS 'endpoints of HTTP pushes: a server has the address and the options for all requests to it, a user mapping has the secrets';

