-- hookline: server=sql01 database=DW
/* Loads yesterday's sales.
   Runs after midnight. */
SELECT s.id, s.amount INTO #new FROM stage..sale AS s WHERE s.day = '2026-02-01';

MERGE fact.sale AS f USING #new AS n ON n.id = f.id
WHEN MATCHED THEN UPDATE SET amount = n.amount
WHEN NOT MATCHED THEN INSERT (id, amount) VALUES (n.id, n.amount);
GO
CREATE OR ALTER PROCEDURE dbo.close_day @day date AS
BEGIN
    SET NOCOUNT ON
    UPDATE d SET closed = 1 FROM dim.day AS d WHERE d.day = @day
    INSERT dbo.log (what) SELECT 'password=hunter2hunter2'
    EXEC('TRUNCATE TABLE stage.dbo.sale')
    IF @@ERROR <> 0 RETURN 1
END
GO
