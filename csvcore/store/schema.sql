-- The results database. Losses are nats; byte spans are half-open UTF-8 bytes of the document's
-- text; accuracies are fractions in [0, 1]; scores are nats per character.

CREATE TABLE meta (schema_version INTEGER NOT NULL);

CREATE TABLE corpora (
    corpus VARCHAR PRIMARY KEY,
    sha256 VARCHAR NOT NULL,          -- over [doc_id, source, text] of every document, in order
    n_chars BIGINT NOT NULL           -- N_c of equation 1
);

CREATE TABLE documents (
    corpus VARCHAR NOT NULL,
    doc_index INTEGER NOT NULL,       -- position in the corpus, from 0
    doc_id VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    text VARCHAR NOT NULL,
    answers INTEGER[2][] NOT NULL,    -- character spans of label tokens
    results INTEGER[2][] DEFAULT [],  -- character spans of intermediate results
    PRIMARY KEY (corpus, doc_id)
);

CREATE TABLE models (
    model VARCHAR PRIMARY KEY,
    family VARCHAR NOT NULL,
    n_params BIGINT,
    train_tokens BIGINT,
    stage VARCHAR,
    step BIGINT,                      -- optimiser steps of a checkpoint
    license VARCHAR,
    origin VARCHAR,
    run VARCHAR                       -- training run, where family, size and stage do not tell it
);

CREATE TABLE tasks (
    task VARCHAR PRIMARY KEY,
    chance DOUBLE NOT NULL,           -- gamma of equation 2
    title VARCHAR,
    sources VARCHAR[] NOT NULL        -- corpus sources that show this ability
);

CREATE TABLE accuracies (
    model VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    accuracy DOUBLE NOT NULL,
    n_items BIGINT,                   -- items behind the accuracy; gives its binomial noise
    PRIMARY KEY (model, task)
);

-- Without a key, which would take more room than the rows; imports see that each is there once.
CREATE TABLE item_results (
    model VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    item VARCHAR NOT NULL,            -- name or number of the item within its task
    correct DOUBLE NOT NULL           -- 0 or 1, or a fraction
);

CREATE TABLE splits (
    split VARCHAR NOT NULL,           -- name of the split
    model VARCHAR NOT NULL,
    side VARCHAR NOT NULL,            -- train, validation or test
    PRIMARY KEY (split, model)
);

-- A row a model and document, which whoever adds rows sees to: a key would keep all of them in memory
-- until the end of the transaction.
CREATE TABLE losses (
    corpus VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    doc_id VARCHAR NOT NULL,
    byte_start INTEGER[] NOT NULL,    -- one entry a source token, in reading order
    byte_end INTEGER[] NOT NULL,
    nll FLOAT[] NOT NULL,             -- nats, one a source token
    token_id INTEGER[]
);

CREATE TABLE manifests (
    corpus VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    manifest VARCHAR,                 -- JSON: weights, tokenizer, prefix, dtype, engine; or unknown
    PRIMARY KEY (corpus, model)
);

CREATE TABLE fits (
    fit VARCHAR PRIMARY KEY,
    created TIMESTAMP NOT NULL,
    corpus VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    method VARCHAR NOT NULL,
    alpha DOUBLE NOT NULL,            -- characters per nat
    beta DOUBLE NOT NULL,             -- nats per character
    gamma DOUBLE NOT NULL,
    steps INTEGER NOT NULL,           -- step whose head was kept; 0 for fixed weights
    seconds DOUBLE NOT NULL,
    n_models VARCHAR NOT NULL,        -- JSON, by side
    mse VARCHAR NOT NULL,             -- JSON, by side
    noise_floor VARCHAR NOT NULL,     -- JSON, by side, where n_items is known
    left_out VARCHAR[] NOT NULL,      -- models of the split without losses or accuracy
    config VARCHAR NOT NULL,          -- JSON: settings, scorer, seed
    notes VARCHAR[] NOT NULL,         -- faults and doubts, a sentence each
    choice VARCHAR,                   -- JSON: penalties chosen and tried by the fast fit; "figure" is cv_error
    control VARCHAR,                  -- JSON: permutation test, see intervals.permutation_p
    n_chars BIGINT,                   -- characters of the text that count
    residuals DOUBLE[] NOT NULL,      -- errors on models left out in turn, for intervals
    candidates VARCHAR,               -- JSON: scores of a stack with weight and law
    interval_error DOUBLE             -- of a stack: 90 % quantile of its absolute errors on left-out models
);

-- What users call a fit; a fit without a row has no name, no note and no pin.
CREATE TABLE fit_labels (
    fit VARCHAR PRIMARY KEY,
    name VARCHAR,
    note VARCHAR,
    pinned BOOLEAN NOT NULL
);

-- Pages of the dashboard with their choices, that users gave a name.
CREATE TABLE saved_views (
    name VARCHAR PRIMARY KEY,
    page VARCHAR NOT NULL,            -- its address, empty for the Overview
    query VARCHAR NOT NULL            -- parameters of the address, as in a link
);

CREATE TABLE predictions (
    fit VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    side VARCHAR NOT NULL,
    score DOUBLE NOT NULL,            -- nats per character
    accuracy DOUBLE NOT NULL,
    predicted DOUBLE NOT NULL,
    low DOUBLE NOT NULL,              -- 90 % interval, see intervals.left_out_interval
    high DOUBLE NOT NULL,
    PRIMARY KEY (fit, model)
);

CREATE TABLE traces (
    fit VARCHAR NOT NULL,
    step INTEGER NOT NULL,
    alpha DOUBLE NOT NULL,
    beta DOUBLE NOT NULL,
    train_mse DOUBLE NOT NULL,
    validation_mse DOUBLE,            -- test models are not read
    PRIMARY KEY (fit, step)
);

CREATE TABLE weights (
    fit VARCHAR NOT NULL,
    doc_id VARCHAR NOT NULL,
    byte_end INTEGER[] NOT NULL,      -- ends of the scoring tokenizer's tokens, which tile the text
    weight FLOAT[],                   -- salience, mean absolute value 1 over the corpus; null of methods without
    spread FLOAT[],                   -- its standard deviation over bootstrap draws of runs, or null
    PRIMARY KEY (fit, doc_id)
);
CREATE TABLE unit_weights (           -- what else a method needs of the tokens of `weights`
    fit VARCHAR NOT NULL,
    name VARCHAR NOT NULL,            -- "counts", or a stack's score that is learnt
    weight FLOAT[] NOT NULL,          -- all documents of the fit in corpus order
    PRIMARY KEY (fit, name)
);

CREATE TABLE mixes (
    corpora VARCHAR NOT NULL,         -- names joined by +
    split VARCHAR NOT NULL,
    task VARCHAR NOT NULL,
    found VARCHAR NOT NULL,           -- JSON: mixes tried, the recommended one first
    created TIMESTAMP,                -- UTC; null in mixes made before it was kept
    PRIMARY KEY (corpora, split, task)
);

CREATE TABLE capabilities (           -- factors that the tasks of a corpus and a split share
    corpus VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    found VARCHAR NOT NULL,           -- JSON: capability_records.Capabilities
    tasks VARCHAR[] NOT NULL,
    models VARCHAR[] NOT NULL,
    created TIMESTAMP NOT NULL,       -- UTC
    PRIMARY KEY (corpus, split)
);
CREATE TABLE factor_weights (
    corpus VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    factor INTEGER NOT NULL,          -- from 1
    doc_id VARCHAR NOT NULL,
    byte_end INTEGER[] NOT NULL,      -- as in `weights`
    weight FLOAT[] NOT NULL,          -- mean 1 over the corpus
    PRIMARY KEY (corpus, split, factor, doc_id)
);

CREATE TABLE reveals (
    corpus VARCHAR NOT NULL,
    split VARCHAR NOT NULL,
    moment TIMESTAMP NOT NULL,        -- UTC; test figures of fits made until then were shown
    models VARCHAR[] NOT NULL,        -- the split's test models at that moment
    who VARCHAR                       -- address of the user who was logged in, or null
);
