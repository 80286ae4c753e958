-- hookline: instance=shop database=shop
-- Takes what was sent today off the shelf and marks the orders.
CREATE TEMP TABLE shipped AS
SELECT l.product_id, sum(l.quantity) AS pieces
FROM orders AS o
JOIN order_lines AS l ON l.order_id = o.id
WHERE o.state = 'paid'
GROUP BY l.product_id;

UPDATE stock
SET quantity = quantity - (SELECT s.pieces FROM shipped AS s WHERE s.product_id = stock.product_id)
WHERE product_id IN (SELECT product_id FROM shipped);

UPDATE orders SET state = 'sent' WHERE state = 'paid';
