-- The addresses as the ESME wrote them, where its message leaves with others: JSON of domain.message.Asked, '' = the same.
alter table message add column asked text not null default '';
