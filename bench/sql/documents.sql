-- The documents of the real sync: a source, and a target found by a unique key.
CREATE TABLE source (
    id bigint PRIMARY KEY,
    code text NOT NULL UNIQUE,
    full_name text NOT NULL,
    territory text NOT NULL,
    credit_limit numeric(12, 2) NOT NULL,
    disabled boolean NOT NULL,
    modified timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE target (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    external_code text NOT NULL UNIQUE,
    name text NOT NULL,
    region text NOT NULL,
    credit_limit numeric(12, 2) NOT NULL,
    active boolean NOT NULL
);

-- n sources, with the ids from first on.
CREATE FUNCTION fill_source(n bigint, first bigint DEFAULT 1) RETURNS void LANGUAGE sql AS $$
    INSERT INTO source (id, code, full_name, territory, credit_limit, disabled)
    SELECT i, 'C-' || lpad(i::text, 10, '0'), 'Customer number ' || i, 'Region ' || i % 50, i % 10000, i % 20 = 0
    FROM generate_series(first, first + n - 1) AS i
$$;

-- A target for every source, as a sync would have made it.
CREATE FUNCTION fill_target() RETURNS void LANGUAGE sql AS $$
    INSERT INTO target (external_code, name, region, credit_limit, active)
    SELECT code, full_name, territory, credit_limit, NOT disabled FROM source ORDER BY id
$$;

-- How many targets are not in step with their source.
CREATE VIEW out_of_step AS
SELECT count(*) FROM source AS s LEFT JOIN target AS t ON t.external_code = s.code
WHERE (t.name, t.region, t.credit_limit, t.active) IS DISTINCT FROM (s.full_name, s.territory, s.credit_limit, NOT s.disabled);
