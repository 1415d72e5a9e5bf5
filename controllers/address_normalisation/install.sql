-- Addresses are normalised by a library in C++: build and install that first (README.md). As a superuser, as only they name libraries.
CREATE SCHEMA IF NOT EXISTS iso;
CREATE TABLE IF NOT EXISTS iso.country (
    code text PRIMARY KEY,             -- BE
    name text NOT NULL                 -- Belgium
);
CREATE TABLE IF NOT EXISTS iso.subdivision (
    code    text PRIMARY KEY,          -- BE-VAN
    country text NOT NULL,             -- BE
    parent  text,                      -- BE-VLG; null: directly below the country
    name    text NOT NULL,             -- Antwerpen
    type    text NOT NULL              -- Province
);

CREATE SCHEMA IF NOT EXISTS shop;
CREATE TABLE IF NOT EXISTS shop.address (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    street      text NOT NULL,         -- as it was typed: "hauptstr.  12 B"
    postal_code text NOT NULL,
    city        text NOT NULL,
    region      text,
    country     text NOT NULL
);
CREATE SCHEMA IF NOT EXISTS erp;
CREATE TABLE IF NOT EXISTS erp.postal_address (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shop_address bigint NOT NULL UNIQUE,
    street       text NOT NULL,
    house_number text NOT NULL,
    postal_code  text NOT NULL,
    city         text NOT NULL,
    region_code  text,                 -- BE-VAN
    country_code text NOT NULL,        -- BE
    search_key   text NOT NULL         -- the same for addresses that differ in case, accents or punctuation only
);

INSERT INTO sync_job_type (name, source_document_type, target_document_type, library, match, set_size)
VALUES ('Address Normalisation', 'shop.address', 'erp.postal_address', 'address_normalisation', '{"shop_address": "id"}', 500);

SELECT attach_sync_job_triggers('Address Normalisation', 'shop.address', level => 'statement');
