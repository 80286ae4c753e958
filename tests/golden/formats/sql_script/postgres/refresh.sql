CREATE OR REPLACE FUNCTION mart.refresh() RETURNS void AS $$
BEGIN
  DELETE FROM mart.days;
  INSERT INTO mart.days SELECT day, sum(amount) FROM public.orders GROUP BY day;
END
$$ LANGUAGE plpgsql;

CREATE VIEW mart.recent AS SELECT * FROM mart.days;
