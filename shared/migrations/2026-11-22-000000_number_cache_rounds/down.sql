DROP TABLE cache_rounds;
