-- A small shop: ten tables, five views. Comments beside columns are descriptions, as SQLite keeps them.

CREATE TABLE countries ( -- Countries that the shop delivers to
  code TEXT PRIMARY KEY NOT NULL, -- ISO 3166-1 alpha-2
  name TEXT NOT NULL UNIQUE,
  vat_rate NUMERIC(4, 2) NOT NULL DEFAULT 0 -- percent, on goods
) WITHOUT ROWID;

CREATE TABLE customers ( -- People and companies with an account
  id INTEGER PRIMARY KEY,
  email TEXT NOT NULL UNIQUE COLLATE NOCASE, -- sign-in name
  full_name TEXT NOT NULL,
  country_code TEXT NOT NULL REFERENCES countries (code),
  newsletter BOOLEAN NOT NULL DEFAULT FALSE, -- asked for marketing mail
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE addresses ( -- Delivery and invoice addresses
  id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers (id) ON DELETE CASCADE,
  kind TEXT NOT NULL DEFAULT 'delivery', -- delivery or invoice
  street TEXT NOT NULL,
  postcode TEXT,
  city TEXT NOT NULL,
  country_code TEXT NOT NULL REFERENCES countries (code)
);

CREATE TABLE categories ( -- The tree that products are filed in
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  parent_id INTEGER REFERENCES categories (id) -- empty at the top
);

CREATE TABLE suppliers (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  country_code TEXT REFERENCES countries (code),
  lead_days INTEGER NOT NULL DEFAULT 7 -- from our order to our door
);

CREATE TABLE products ( -- What is, or once was, on sale
  id INTEGER PRIMARY KEY,
  sku TEXT NOT NULL UNIQUE, -- stock keeping unit, printed on the label
  name TEXT NOT NULL,
  category_id INTEGER NOT NULL REFERENCES categories (id),
  supplier_id INTEGER REFERENCES suppliers (id),
  price NUMERIC(10, 2) NOT NULL, -- euro, without VAT
  cost NUMERIC(10, 2), -- euro, what we pay
  margin NUMERIC(10, 2) GENERATED ALWAYS AS (price - cost) VIRTUAL,
  discontinued BOOLEAN NOT NULL DEFAULT FALSE
);

CREATE TABLE stock ( -- Pieces on the shelf, per warehouse
  product_id INTEGER NOT NULL REFERENCES products (id),
  warehouse TEXT NOT NULL,
  quantity INTEGER NOT NULL DEFAULT 0 CHECK (quantity >= 0),
  counted_at TIMESTAMP, -- last stock-taking
  PRIMARY KEY (product_id, warehouse)
);

CREATE TABLE orders ( -- One row per order, paid or not
  id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers (id),
  address_id INTEGER REFERENCES addresses (id), -- where it goes
  state TEXT NOT NULL DEFAULT 'new', -- new, paid, sent, returned
  ordered_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE order_lines ( -- What was ordered, at the price of that day
  order_id INTEGER NOT NULL REFERENCES orders (id) ON DELETE CASCADE,
  line INTEGER NOT NULL,
  product_id INTEGER NOT NULL REFERENCES products (id),
  quantity INTEGER NOT NULL DEFAULT 1,
  unit_price NUMERIC(10, 2) NOT NULL, -- euro, without VAT
  PRIMARY KEY (order_id, line),
  UNIQUE (order_id, product_id)
);

CREATE TABLE payments (
  id INTEGER PRIMARY KEY,
  order_id INTEGER NOT NULL REFERENCES orders (id),
  amount NUMERIC(10, 2) NOT NULL, -- euro, with VAT
  method TEXT NOT NULL, -- card, transfer, invoice
  paid_at TIMESTAMP NOT NULL
);

CREATE INDEX payments_by_order ON payments (order_id);

CREATE VIEW order_totals AS -- Each order with what it comes to, without VAT
SELECT o.id AS order_id, o.customer_id, o.state, o.ordered_at, SUM(l.quantity * l.unit_price) AS total
FROM orders AS o
JOIN order_lines AS l ON l.order_id = o.id
GROUP BY o.id, o.customer_id, o.state, o.ordered_at;

CREATE VIEW customer_revenue AS -- What each customer has bought, from order_totals
SELECT c.id AS customer_id, c.full_name, n.name AS country, COUNT(t.order_id) AS orders, COALESCE(SUM(t.total), 0) AS revenue
FROM customers AS c
JOIN countries AS n ON n.code = c.country_code
LEFT JOIN order_totals AS t ON t.customer_id = c.id AND t.state <> 'returned'
GROUP BY c.id, c.full_name, n.name;

CREATE VIEW product_availability AS
WITH on_hand AS (
  SELECT product_id, SUM(quantity) AS pieces FROM stock GROUP BY product_id
)
SELECT p.id AS product_id, p.sku, p.name, COALESCE(h.pieces, 0) AS pieces, s.lead_days
FROM products AS p
LEFT JOIN on_hand AS h ON h.product_id = p.id
LEFT JOIN suppliers AS s ON s.id = p.supplier_id
WHERE NOT p.discontinued;

CREATE VIEW monthly_sales AS -- Revenue and margin a month and category
SELECT strftime('%Y-%m', o.ordered_at) AS month, g.name AS category,
  SUM(l.quantity * l.unit_price) AS revenue, SUM(l.quantity * (l.unit_price - p.cost)) AS margin
FROM order_lines AS l
JOIN orders AS o ON o.id = l.order_id
JOIN products AS p ON p.id = l.product_id
JOIN categories AS g ON g.id = p.category_id
GROUP BY strftime('%Y-%m', o.ordered_at), g.name;

CREATE VIEW open_invoices AS -- Orders that are not paid in full
SELECT t.order_id, c.email, t.total * (1 + n.vat_rate / 100) AS due, COALESCE(SUM(p.amount), 0) AS paid
FROM order_totals AS t
JOIN customers AS c ON c.id = t.customer_id
JOIN countries AS n ON n.code = c.country_code
LEFT JOIN payments AS p ON p.order_id = t.order_id
GROUP BY t.order_id, c.email, t.total, n.vat_rate
HAVING COALESCE(SUM(p.amount), 0) < t.total * (1 + n.vat_rate / 100);

INSERT INTO countries VALUES ('DE', 'Germany', 19), ('FR', 'France', 20), ('NL', 'Netherlands', 21);

INSERT INTO customers VALUES
  (1, 'ada@example.com', 'Ada Byron', 'NL', TRUE, '2025-01-09 10:00:00'),
  (2, 'emil@example.com', 'Emil Post', 'DE', FALSE, '2025-02-11 08:30:00'),
  (3, 'rosa@example.com', 'Rosa Peter', 'FR', TRUE, '2025-03-17 17:45:00');

INSERT INTO addresses VALUES
  (1, 1, 'delivery', 'Keizersgracht 1', '1015 CC', 'Amsterdam', 'NL'),
  (2, 2, 'delivery', 'Lange Gasse 7', '90403', 'Nürnberg', 'DE'),
  (3, 3, 'invoice', 'Rue de la Paix 3', '75002', 'Paris', 'FR');

INSERT INTO categories VALUES (1, 'Kitchen', NULL), (2, 'Knives', 1), (3, 'Garden', NULL);

INSERT INTO suppliers VALUES (1, 'Klingen GmbH', 'DE', 10), (2, 'Jardin SA', 'FR', 5);

INSERT INTO products (id, sku, name, category_id, supplier_id, price, cost, discontinued) VALUES
  (1, 'KN-001', 'Paring knife', 2, 1, 12.5, 6, FALSE),
  (2, 'KN-002', 'Bread knife', 2, 1, 24, 11.5, FALSE),
  (3, 'GA-001', 'Trowel', 3, 2, 9.9, 4, FALSE),
  (4, 'GA-002', 'Gnome', 3, NULL, 39, 20, TRUE);

INSERT INTO stock VALUES (1, 'north', 40, '2025-03-31'), (1, 'south', 3, NULL), (2, 'north', 0, '2025-03-31'), (3, 'south', 75, NULL);

INSERT INTO orders VALUES
  (1, 1, 1, 'sent', '2025-03-01 09:12:00'),
  (2, 2, 2, 'paid', '2025-03-20 19:01:00'),
  (3, 1, 1, 'new', '2025-04-02 07:59:00'),
  (4, 3, NULL, 'returned', '2025-04-03 12:00:00');

INSERT INTO order_lines VALUES (1, 1, 1, 2, 12.5), (1, 2, 3, 1, 9.9), (2, 1, 2, 1, 24), (3, 1, 3, 4, 9.5), (4, 1, 4, 1, 39);

INSERT INTO payments VALUES (1, 1, 42.23, 'card', '2025-03-01 09:13:00'), (2, 2, 28.56, 'transfer', '2025-03-22 00:00:00');

ANALYZE;
