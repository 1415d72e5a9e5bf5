-- All that belongs to the extension, as lines of text in which nothing differs but what matters: no OIDs, no sizes, no order of
-- rights. Two databases whose lines are the same have the same extension. Give both the same schema and owner.
SET search_path = pg_catalog, pg_temp;

WITH extension AS (
    SELECT * FROM pg_extension WHERE extname = 'pg_sync_job'
), member AS (
    SELECT d.classid, d.objid, i.type || ' ' || i.identity AS name
    FROM extension AS e
    JOIN pg_depend AS d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
    CROSS JOIN LATERAL pg_identify_object(d.classid, d.objid, 0) AS i
), relation AS ( -- with the indexes of its tables, which are no members themselves
    SELECT c.*, m.name FROM member AS m JOIN pg_class AS c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
    UNION ALL
    SELECT c.*, m.name || ', index ' || c.relname FROM member AS m JOIN pg_index AS i ON m.classid = 'pg_class'::regclass AND i.indrelid = m.objid
    JOIN pg_class AS c ON c.oid = i.indexrelid
    UNION ALL
    SELECT c.*, m.name FROM member AS m JOIN pg_type AS t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
    JOIN pg_class AS c ON c.oid = t.typrelid
), line (name, what, value) AS (
    SELECT 'extension', 'itself', concat_ws(' | ', extname, extversion, extnamespace::regnamespace, extowner::regrole, extrelocatable,
        obj_description(oid, 'pg_extension'))
    FROM extension
    UNION ALL
    SELECT 'extension', 'dumped rows of ' || c.relation, c.condition
    FROM extension AS e CROSS JOIN LATERAL ROWS FROM (unnest(e.extconfig::regclass[]), unnest(e.extcondition)) AS c (relation, condition)
    UNION ALL
    SELECT name, 'comment', obj_description(objid, classid::regclass::name) FROM member
    UNION ALL
    SELECT m.name, 'initial privileges', p.initprivs FROM member AS m
    JOIN LATERAL (SELECT string_agg(i.objsubid || ' ' || a, ', ' ORDER BY i.objsubid, a::text COLLATE "C") AS initprivs
        FROM pg_init_privs AS i CROSS JOIN unnest(i.initprivs) AS a WHERE i.classoid = m.classid AND i.objoid = m.objid) AS p ON true
    UNION ALL
    SELECT m.name, 'owner and privileges', concat_ws(' | ', o.owner::regrole,
        (SELECT string_agg(a::text, ', ' ORDER BY a::text COLLATE "C") FROM unnest(o.acl) AS a))
    FROM member AS m JOIN (
        SELECT 'pg_class'::regclass, oid, relowner, relacl FROM pg_class
        UNION ALL SELECT 'pg_proc'::regclass, oid, proowner, proacl FROM pg_proc
        UNION ALL SELECT 'pg_type'::regclass, oid, typowner, typacl FROM pg_type
        UNION ALL SELECT 'pg_namespace'::regclass, oid, nspowner, nspacl FROM pg_namespace
        UNION ALL SELECT 'pg_foreign_data_wrapper'::regclass, oid, fdwowner, fdwacl FROM pg_foreign_data_wrapper
    ) AS o (class, oid, owner, acl) ON o.class = m.classid AND o.oid = m.objid

    -- Relations
    UNION ALL
    SELECT name, 'kind and options', concat_ws(' | ', relkind, relpersistence, relrowsecurity, relforcerowsecurity,
        relreplident, relispartition, (SELECT amname FROM pg_am WHERE oid = relam), reltablespace, reloptions,
        pg_get_expr(relpartbound, oid), pg_get_partkeydef(oid), 'parent', (SELECT inhparent::regclass FROM pg_inherits WHERE inhrelid = oid AND relkind <> 'i'))
    FROM relation
    UNION ALL
    SELECT r.name, 'column ' || a.attnum || ' ' || a.attname, concat_ws(' | ', format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation,
        CASE WHEN a.attnotnull THEN 'not null' END, a.attstorage, a.attcompression, a.attstattarget, a.attislocal, a.attinhcount, a.attidentity, a.attgenerated,
        -- Some builds of the server stamp each column with the place in the log where its table was made.
        (SELECT string_agg(o, ', ') FROM unnest(a.attoptions) AS o WHERE split_part(o, '=', 1) <> 'pg_attver'), (SELECT string_agg(p::text, ', ' ORDER BY p::text COLLATE "C") FROM unnest(a.attacl) AS p),
        'default ' || pg_get_expr(d.adbin, d.adrelid), col_description(r.oid, a.attnum))
    FROM relation AS r JOIN pg_attribute AS a ON a.attrelid = r.oid AND a.attnum > 0
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    UNION ALL
    SELECT r.name, 'constraint ' || c.conname, concat_ws(' | ', pg_get_constraintdef(c.oid), c.convalidated, c.conislocal, c.coninhcount, obj_description(c.oid, 'pg_constraint'))
    FROM relation AS r JOIN pg_constraint AS c ON c.conrelid = r.oid
    UNION ALL
    SELECT r.name, 'definition', concat_ws(' | ', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisready, i.indisclustered, i.indisreplident, obj_description(i.indexrelid, 'pg_class'))
    FROM relation AS r JOIN pg_index AS i ON i.indexrelid = r.oid
    UNION ALL
    SELECT r.name, 'trigger ' || t.tgname, concat_ws(' | ', pg_get_triggerdef(t.oid), t.tgenabled, obj_description(t.oid, 'pg_trigger'))
    FROM relation AS r JOIN pg_trigger AS t ON t.tgrelid = r.oid AND NOT t.tgisinternal
    UNION ALL
    SELECT r.name, 'policy ' || p.polname, concat_ws(' | ', p.polcmd, p.polpermissive, p.polroles::regrole[], pg_get_expr(p.polqual, p.polrelid),
        pg_get_expr(p.polwithcheck, p.polrelid), obj_description(p.oid, 'pg_policy'))
    FROM relation AS r JOIN pg_policy AS p ON p.polrelid = r.oid
    UNION ALL
    SELECT r.name, 'rule ' || w.rulename, concat_ws(' | ', pg_get_ruledef(w.oid), w.ev_enabled)
    FROM relation AS r JOIN pg_rewrite AS w ON w.ev_class = r.oid
    UNION ALL
    SELECT r.name, 'statistics ' || s.stxname, pg_get_statisticsobjdef(s.oid) FROM relation AS r JOIN pg_statistic_ext AS s ON s.stxrelid = r.oid
    UNION ALL
    SELECT r.name, 'sequence', concat_ws(' | ', s.seqtypid::regtype, s.seqstart, s.seqincrement, s.seqmax, s.seqmin, s.seqcache, s.seqcycle,
        (SELECT d.refobjid::regclass || ' ' || d.refobjsubid || ' ' || d.deptype::text FROM pg_depend AS d
         WHERE d.classid = 'pg_class'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')))
    FROM relation AS r JOIN pg_sequence AS s ON s.seqrelid = r.oid

    -- Functions, types
    UNION ALL
    SELECT m.name, 'definition', pg_get_functiondef(p.oid) FROM member AS m JOIN pg_proc AS p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid AND p.prokind <> 'a'
    UNION ALL
    SELECT m.name, 'aggregate', to_jsonb(a)::text FROM member AS m JOIN pg_aggregate AS a ON m.classid = 'pg_proc'::regclass AND a.aggfnoid = m.objid
    UNION ALL
    SELECT m.name, 'kind', concat_ws(' | ', t.typtype, t.typcategory, t.typnotnull, t.typdefault, format_type(t.typbasetype, t.typtypmod),
        (SELECT string_agg(l.enumlabel, ', ' ORDER BY l.enumsortorder) FROM pg_enum AS l WHERE l.enumtypid = t.oid),
        (SELECT string_agg(c.conname || ' ' || pg_get_constraintdef(c.oid), ', ' ORDER BY c.conname) FROM pg_constraint AS c WHERE c.contypid = t.oid))
    FROM member AS m JOIN pg_type AS t ON m.classid = 'pg_type'::regclass AND t.oid = m.objid
    UNION ALL
    SELECT m.name, 'functions', concat_ws(' | ', w.fdwhandler::regproc, w.fdwvalidator::regproc, w.fdwoptions)
    FROM member AS m JOIN pg_foreign_data_wrapper AS w ON m.classid = 'pg_foreign_data_wrapper'::regclass AND w.oid = m.objid
)
SELECT name || ': ' || what || ': ' || coalesce(value, '') FROM line ORDER BY name COLLATE "C", what COLLATE "C", value COLLATE "C";
