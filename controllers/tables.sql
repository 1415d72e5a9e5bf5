-- The sample tables of the examples: an ERP's, and those of two systems that are kept in step with it. Each install.sql reads
-- this file first; several examples may be installed into one database.
SET client_min_messages = warning;

CREATE SCHEMA IF NOT EXISTS erp;
CREATE TABLE IF NOT EXISTS erp.customer (
    name           text PRIMARY KEY,   -- CUST-00001
    customer_name  text NOT NULL,
    customer_type  text,
    customer_group text,
    territory      text,
    email_id       text,
    disabled       boolean NOT NULL DEFAULT false
);
CREATE TABLE IF NOT EXISTS erp.address (
    customer text PRIMARY KEY REFERENCES erp.customer ON DELETE CASCADE,
    street   text NOT NULL,
    city     text NOT NULL
);
CREATE TABLE IF NOT EXISTS erp.sales_order (
    name       text PRIMARY KEY,       -- SO-00001
    customer   text NOT NULL,
    order_date date NOT NULL
);
CREATE TABLE IF NOT EXISTS erp.sales_order_item (
    sales_order text NOT NULL REFERENCES erp.sales_order ON DELETE CASCADE,
    idx         integer NOT NULL,      -- 1, 2, … within the order
    item_code   text NOT NULL,
    qty         numeric NOT NULL,
    rate        numeric NOT NULL,
    PRIMARY KEY (sales_order, idx)
);

CREATE SCHEMA IF NOT EXISTS sap;
CREATE TABLE IF NOT EXISTS sap.customer (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    erp_customer   text NOT NULL UNIQUE,
    customer_name  text NOT NULL,
    customer_type  text,
    customer_group text,
    territory      text,
    street         text,
    city           text
);
CREATE TABLE IF NOT EXISTS sap.note (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    erp_customer text NOT NULL,
    note         text NOT NULL
);
CREATE TABLE IF NOT EXISTS sap.invoice (
    number   text PRIMARY KEY,         -- that of the order
    customer text NOT NULL,
    total    numeric NOT NULL
);
CREATE TABLE IF NOT EXISTS sap.invoice_line (
    invoice text NOT NULL,
    line    integer NOT NULL,
    item    text NOT NULL,
    amount  numeric NOT NULL,
    PRIMARY KEY (invoice, line)
);

CREATE SCHEMA IF NOT EXISTS api;
CREATE TABLE IF NOT EXISTS api.customer (
    name        text PRIMARY KEY,      -- that of erp.customer
    external_id text NOT NULL,
    last_synced timestamptz NOT NULL
);

RESET client_min_messages;
