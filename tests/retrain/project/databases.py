"""Databases that look nothing like the sample, with users who have tastes."""

# A video service on PostgreSQL: a schema of its own, UUIDs, enums, jsonb, arrays, soft deletes.
VIDEO = """
CREATE SCHEMA catalog;
CREATE TYPE plan AS ENUM ('free', 'basic', 'premium');
CREATE TYPE visibility AS ENUM ('public', 'unlisted', 'private');
CREATE TYPE playback_action AS ENUM ('start', 'progress', 'complete', 'like');

CREATE TABLE accounts (
    id uuid PRIMARY KEY, email text NOT NULL UNIQUE, password_hash text NOT NULL,
    display_name text, birth_date date, phone text, country char(2), plan plan NOT NULL,
    preferences jsonb NOT NULL DEFAULT '{}', marketing_opt_in boolean NOT NULL,
    last_ip inet, created_at timestamptz NOT NULL, deleted_at timestamptz
);
CREATE TABLE catalog.channels (
    id uuid PRIMARY KEY, name text NOT NULL, language char(2) NOT NULL,
    owner_id uuid NOT NULL REFERENCES accounts
);
CREATE TABLE catalog.videos (
    id uuid PRIMARY KEY, channel_id uuid NOT NULL REFERENCES catalog.channels,
    uploaded_by uuid NOT NULL REFERENCES accounts, title text NOT NULL, synopsis text,
    tags text[] NOT NULL, metadata jsonb, duration_seconds integer NOT NULL,
    visibility visibility NOT NULL, thumbnail_url text, is_kids boolean NOT NULL,
    published_at timestamptz, created_at timestamptz NOT NULL, deleted_at timestamptz
);
CREATE TABLE playback_events (
    id uuid PRIMARY KEY, account_id uuid REFERENCES accounts,
    video_id uuid NOT NULL REFERENCES catalog.videos, action playback_action NOT NULL,
    watched_seconds numeric(8, 2), device jsonb, occurred_at timestamptz NOT NULL
);
CREATE TABLE subscriptions (
    account_id uuid NOT NULL REFERENCES accounts,
    channel_id uuid NOT NULL REFERENCES catalog.channels,
    created_at timestamptz NOT NULL, PRIMARY KEY (account_id, channel_id)
);
CREATE TABLE comments (
    id bigserial PRIMARY KEY, account_id uuid NOT NULL REFERENCES accounts,
    video_id uuid NOT NULL REFERENCES catalog.videos, body text NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE TABLE schema_migrations (version text PRIMARY KEY);

INSERT INTO accounts
SELECT md5('account' || n)::uuid, 'viewer' || n || '@example.com', md5('secret' || n),
       'Viewer ' || n, date '1960-01-01' + n * 37, '+49 30 ' || 100000 + n,
       (ARRAY['DE', 'FR', 'JP'])[1 + n % 3], (ARRAY['free', 'basic', 'premium'])[1 + n % 3]::plan,
       jsonb_build_object('theme', (ARRAY['dark', 'light'])[1 + n % 2], 'email', 'x@example.com'),
       n % 4 = 0, '10.0.0.1', timestamptz '2023-01-01' + n * interval '1 day',
       CASE WHEN n % 20 = 0 THEN timestamptz '2024-01-01' END
FROM generate_series(1, 300) AS n;
INSERT INTO catalog.channels
SELECT md5('channel' || n)::uuid, 'Channel ' || n, (ARRAY['de', 'fr', 'ja'])[1 + n % 3],
       md5('account' || n)::uuid
FROM generate_series(1, 12) AS n;
INSERT INTO catalog.videos
SELECT md5('video' || n)::uuid, md5('channel' || 1 + n % 12)::uuid,
       md5('account' || 1 + n % 9)::uuid,
       'The ' || n || ' things to know about ' || (ARRAY['tea', 'rocks', 'bees'])[1 + n % 3],
       CASE WHEN n % 9 <> 0 THEN 'A long look at a small thing, and what comes of it in the end: '
            || (ARRAY['tea', 'rocks', 'bees'])[1 + n % 3] END,
       ARRAY[(ARRAY['tea', 'rocks', 'bees'])[1 + n % 3], (ARRAY['short', 'long'])[1 + n % 2]],
       jsonb_build_object('genre', (ARRAY['food', 'science', 'nature'])[1 + n % 3],
                          'year', 2000 + n % 24, 'encoder', md5(n::text)),
       30 + n * 7 % 900, (ARRAY['public', 'public', 'public', 'unlisted', 'private'])[1 + n % 5]
       ::visibility, 'https://cdn.example.com/' || n || '.jpg', n % 6 = 0,
       CASE WHEN n % 15 <> 0 THEN timestamptz '2023-06-01' + n * interval '1 day' END,
       timestamptz '2023-05-01' + n * interval '1 day',
       CASE WHEN n % 30 = 0 THEN timestamptz '2024-03-01' END
FROM generate_series(1, 150) AS n;
INSERT INTO playback_events
SELECT md5('event' || n)::uuid,
       CASE WHEN n % 50 <> 0 THEN md5('account' || 1 + n * 37 % 300)::uuid END,
       md5('video' || 1 + (n * 37 % 300 % 3 + 3 * (n * 7919 % 50)) % 150)::uuid,
       (ARRAY['start', 'start', 'progress', 'complete', 'like'])[1 + n * 31 % 5]::playback_action,
       CASE WHEN n % 3 = 0 THEN n % 600 + 0.5 END,
       jsonb_build_object('type', (ARRAY['tv', 'phone', 'web'])[1 + n % 3], 'id', md5(n::text)),
       timestamptz '2024-01-01' + n * interval '7 minutes'
FROM generate_series(1, 12000) AS n;
INSERT INTO subscriptions
SELECT md5('account' || n)::uuid, md5('channel' || 1 + n % 12)::uuid, timestamptz '2024-01-01'
FROM generate_series(1, 200) AS n;
INSERT INTO comments (account_id, video_id, body, created_at)
SELECT md5('account' || n)::uuid, md5('video' || 1 + n % 150)::uuid, 'Nice ' || n, now()
FROM generate_series(1, 300) AS n;
ANALYZE;
"""

# A shop on MariaDB: orders and their lines, carts, flags, and no foreign key that is declared.
SHOP = (
    """CREATE TABLE tbl_customer (
        customer_id int unsigned AUTO_INCREMENT PRIMARY KEY, firstname varchar(60),
        lastname varchar(60), email varchar(190), telephone varchar(40), password char(60),
        dob date, gender enum('f', 'm', 'x'), city varchar(80), newsletter tinyint(1) NOT NULL,
        customer_group varchar(20), is_deleted tinyint(1) NOT NULL DEFAULT 0,
        registered datetime NOT NULL) ENGINE=InnoDB""",
    """CREATE TABLE tbl_category (
        category_id int unsigned AUTO_INCREMENT PRIMARY KEY, name varchar(60) NOT NULL)""",
    """CREATE TABLE tbl_product (
        product_id int unsigned AUTO_INCREMENT PRIMARY KEY, sku varchar(30) NOT NULL UNIQUE,
        category_id int unsigned, brand varchar(40), name varchar(120) NOT NULL,
        description text, price decimal(10,2) NOT NULL, weight_g smallint unsigned,
        colours varchar(200), active tinyint(1) NOT NULL, stock int NOT NULL,
        date_added datetime NOT NULL)""",
    """CREATE TABLE tbl_order (
        order_id bigint AUTO_INCREMENT PRIMARY KEY, customer_id int unsigned,
        order_status varchar(20) NOT NULL, shipping_address varchar(200), coupon varchar(20),
        total decimal(12,2), date_ordered datetime NOT NULL)""",
    """CREATE TABLE tbl_order_item (
        order_item_id bigint AUTO_INCREMENT PRIMARY KEY, order_id bigint NOT NULL,
        product_id int unsigned NOT NULL, quantity int NOT NULL, unit_price decimal(10,2))""",
    """CREATE TABLE tbl_cart (
        cart_id bigint AUTO_INCREMENT PRIMARY KEY, customer_id int unsigned,
        session_token char(32), updated_at datetime)""",
    """CREATE TABLE tbl_cart_item (
        cart_id bigint NOT NULL, product_id int unsigned NOT NULL, quantity int NOT NULL,
        added_at datetime NOT NULL, PRIMARY KEY (cart_id, product_id))""",
    """INSERT INTO tbl_customer (firstname, lastname, email, telephone, password, dob, gender, city,
        newsletter, customer_group, is_deleted, registered)
        SELECT CONCAT('F', seq), CONCAT('L', seq), CONCAT('c', seq, '@example.com'),
        CONCAT('+81 3 1234 ', seq), REPEAT('x', 60), '1980-01-01' + INTERVAL seq DAY,
        ELT(1 + seq % 3, 'f', 'm', 'x'), ELT(1 + seq % 4, 'Tokyo', 'Osaka', 'Kyoto', 'Kobe'),
        seq % 2, ELT(1 + seq % 3, 'retail', 'club', 'trade'), seq % 25 = 0,
        '2023-01-01' + INTERVAL seq HOUR FROM seq_1_to_250""",
    """INSERT INTO tbl_category (name) VALUES ('tea'), ('cups'), ('sweets'), ('pots')""",
    """INSERT INTO tbl_product (sku, category_id, brand, name, description, price, weight_g,
        colours, active, stock, date_added)
        SELECT CONCAT('SKU-', LPAD(seq, 5, '0')), 1 + seq % 4,
        ELT(1 + seq % 5, 'Aki', 'Haru', 'Natsu', 'Fuyu', NULL), CONCAT('Product number ', seq),
        CONCAT('<p>A thing that one likes to have on the table in the morning: ', seq, '</p>'),
        3 + seq % 40 * 1.25, 50 + seq % 30, ELT(1 + seq % 3, 'red,blue', 'green', 'blue, white'),
        seq % 8 <> 0, seq % 12, '2023-03-01' + INTERVAL seq DAY FROM seq_1_to_120""",
    """INSERT INTO tbl_order (customer_id, order_status, shipping_address, coupon, total,
        date_ordered)
        SELECT IF(seq % 40 = 0, NULL, 1 + seq * 37 % 250),
        ELT(1 + seq % 6, 'shipped', 'shipped', 'paid', 'shipped', 'cancelled', 'refunded'),
        CONCAT(seq, ' Main Street'), IF(seq % 9 = 0, 'SPRING', NULL), 10,
        '2023-07-01 08:00:00' + INTERVAL seq * 75 MINUTE FROM seq_1_to_4000""",
    """INSERT INTO tbl_order_item (order_id, product_id, quantity, unit_price)
        SELECT o.seq, 1 + (o.seq * 37 % 250 % 4 + 4 * ((o.seq * 7919 + i.seq * 13) % 30)) % 120,
        i.seq, 5.5 FROM seq_1_to_4000 o JOIN seq_1_to_2 i""",
    """INSERT INTO tbl_cart (customer_id, session_token, updated_at)
        SELECT seq, MD5(seq), NULL FROM seq_1_to_200""",
    """INSERT INTO tbl_cart_item SELECT 1 + seq % 200, 1 + seq % 119, 1, '2024-01-01'
        + INTERVAL seq MINUTE FROM seq_1_to_600""",
    "ANALYZE TABLE tbl_customer, tbl_category, tbl_product, tbl_order, tbl_order_item",
)

# A library on MariaDB whose keys are UUIDs of 16 bytes, as frameworks store them.
BINARY_KEYS = (
    """CREATE TABLE readers (id binary(16) PRIMARY KEY, city varchar(40), joined_at datetime)""",
    """CREATE TABLE genres (id binary(16) PRIMARY KEY, name varchar(40) NOT NULL)""",
    """CREATE TABLE books (
        id binary(16) PRIMARY KEY, genre_id binary(16) NOT NULL, title varchar(120) NOT NULL,
        cover blob, added_at datetime NOT NULL)""",
    """CREATE TABLE loans (
        id binary(16) PRIMARY KEY, reader_id binary(16) NOT NULL, book_id binary(16) NOT NULL,
        borrowed_at datetime NOT NULL)""",
    """INSERT INTO readers SELECT UNHEX(MD5(CONCAT('reader', seq))),
        ELT(1 + seq % 3, 'Kyoto', 'Osaka', 'Kobe'), '2023-01-01' FROM seq_1_to_200""",
    """INSERT INTO genres SELECT UNHEX(MD5(CONCAT('genre', seq))),
        ELT(seq, 'crime', 'travel', 'poems') FROM seq_1_to_3""",
    """INSERT INTO books SELECT UNHEX(MD5(CONCAT('book', seq))),
        UNHEX(MD5(CONCAT('genre', 1 + seq % 3))), CONCAT('Book number ', seq, ' of the series'),
        REPEAT('x', 500), '2023-01-01' + INTERVAL seq DAY FROM seq_1_to_120""",
    """INSERT INTO loans SELECT UNHEX(MD5(CONCAT('loan', seq))),
        UNHEX(MD5(CONCAT('reader', 1 + seq * 37 % 200))),
        UNHEX(MD5(CONCAT('book', 1 + (seq * 37 % 200 % 3 + 3 * (seq * 7919 % 40)) % 120))),
        '2024-01-01' + INTERVAL seq * 30 MINUTE FROM seq_1_to_4000""",
)
