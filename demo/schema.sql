-- The source: the ISO's list of countries, and of their subdivisions.
CREATE SCHEMA iso;
CREATE TABLE iso.country (
    code text PRIMARY KEY,             -- BE
    name text NOT NULL                 -- Belgium
);
CREATE TABLE iso.subdivision (
    code    text PRIMARY KEY,          -- BE-VAN
    country text NOT NULL,             -- BE
    parent  text,                      -- BE-VLG; null: directly below the country
    name    text NOT NULL,             -- Antwerpen
    type    text NOT NULL              -- Province
);
CREATE INDEX ON iso.subdivision (parent);

-- The target: one tree of territories, as in an ERP, with names that it generates itself.
CREATE SCHEMA erp;
CREATE SEQUENCE erp.territory_series;
CREATE TABLE erp.territory (
    name             text PRIMARY KEY DEFAULT to_char(nextval('erp.territory_series'), '"TERR-"FM00000'),
    territory_name   text NOT NULL,
    parent_territory text REFERENCES erp.territory,
    is_group         boolean NOT NULL DEFAULT false,
    iso_code         text UNIQUE
);
CREATE INDEX ON erp.territory (parent_territory);
INSERT INTO erp.territory (name, territory_name, is_group) VALUES ('All Territories', 'All Territories', true);
