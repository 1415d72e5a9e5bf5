-- The same sync by hand, as it would be written without a queue.

CREATE FUNCTION sync_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO target AS t (external_code, name, region, credit_limit, active)
    VALUES (NEW.code, NEW.full_name, NEW.territory, NEW.credit_limit, NOT NEW.disabled)
    ON CONFLICT (external_code) DO UPDATE
    SET name = excluded.name, region = excluded.region, credit_limit = excluded.credit_limit, active = excluded.active
    WHERE (t.name, t.region, t.credit_limit, t.active)
        IS DISTINCT FROM (excluded.name, excluded.region, excluded.credit_limit, excluded.active);
    RETURN NULL;
END $$;

CREATE FUNCTION sync_statement() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO target AS t (external_code, name, region, credit_limit, active)
    SELECT code, full_name, territory, credit_limit, NOT disabled FROM changed
    ON CONFLICT (external_code) DO UPDATE
    SET name = excluded.name, region = excluded.region, credit_limit = excluded.credit_limit, active = excluded.active
    WHERE (t.name, t.region, t.credit_limit, t.active)
        IS DISTINCT FROM (excluded.name, excluded.region, excluded.credit_limit, excluded.active);
    RETURN NULL;
END $$;

CREATE FUNCTION sync_all() RETURNS void LANGUAGE sql AS $$
    INSERT INTO target AS t (external_code, name, region, credit_limit, active)
    SELECT code, full_name, territory, credit_limit, NOT disabled FROM source
    ON CONFLICT (external_code) DO UPDATE
    SET name = excluded.name, region = excluded.region, credit_limit = excluded.credit_limit, active = excluded.active
    WHERE (t.name, t.region, t.credit_limit, t.active)
        IS DISTINCT FROM (excluded.name, excluded.region, excluded.credit_limit, excluded.active)
$$;

-- One bad row must not undo the others, so each has a subtransaction.
CREATE FUNCTION sync_loop() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    s source;
BEGIN
    FOR s IN SELECT * FROM source LOOP
        BEGIN
            INSERT INTO target AS t (external_code, name, region, credit_limit, active)
            VALUES (s.code, s.full_name, s.territory, s.credit_limit, NOT s.disabled)
            ON CONFLICT (external_code) DO UPDATE
            SET name = excluded.name, region = excluded.region, credit_limit = excluded.credit_limit, active = excluded.active
            WHERE (t.name, t.region, t.credit_limit, t.active)
                IS DISTINCT FROM (excluded.name, excluded.region, excluded.credit_limit, excluded.active);
        EXCEPTION WHEN others THEN
            RAISE WARNING 'source %: %', s.id, sqlerrm;
        END;
    END LOOP;
END $$;
