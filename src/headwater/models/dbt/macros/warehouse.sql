{#- How dbt asks the warehouse what is there. Headwater, which makes views of the same models, answers these itself. -#}

{#- The columns of a table as {name: type}; {} where the table does not exist: no event of its kind has happened yet. -#}
{%- macro headwater_columns(schema, table) -%}
  {%- set columns = {} -%}
  {%- if execute -%}
    {%- set database = var('headwater_database') or target.database -%}
    {%- set relation = adapter.get_relation(database=database, schema=schema, identifier=table) -%}
    {%- if relation is not none -%}
      {%- for column in adapter.get_columns_in_relation(relation) -%}
        {%- do columns.update({column.name: column.data_type | lower}) -%}
      {%- endfor -%}
    {%- endif -%}
  {%- endif -%}
  {{- return(columns) -}}
{%- endmacro -%}

{%- macro headwater_table(schema, table) -%}
  {{- api.Relation.create(
    database=var('headwater_database') or target.database, schema=schema, identifier=table
  ).render() -}}
{%- endmacro -%}
