-- hookline: instance=shop database=shop
-- Revenue and number of orders a day, rebuilt every night.
CREATE TABLE IF NOT EXISTS daily_revenue (day TEXT PRIMARY KEY, orders INTEGER, revenue NUMERIC);

DELETE FROM daily_revenue WHERE day >= date('now', '-7 days');

WITH recent AS (
  SELECT id, date(ordered_at) AS day FROM orders WHERE state <> 'returned' AND ordered_at >= date('now', '-7 days')
)
INSERT INTO daily_revenue (day, orders, revenue)
SELECT r.day, count(DISTINCT r.id), sum(l.quantity * l.unit_price)
FROM recent AS r
JOIN order_lines AS l ON l.order_id = r.id
GROUP BY r.day;
