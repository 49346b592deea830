//! Users by hand.

use anyhow::bail;
use chrono::Utc;
use diesel::{
    BoolExpressionMethods, ExpressionMethods, PgTextExpressionMethods, QueryDsl, SelectableHelper, dsl::count_star,
    query_builder::SqlQuery,
};
use rand::rngs::StdRng;
use shared::{
    catalog::{Gender, UNKNOWN, User, UserTraits, age_group, check_user, region_of, synthetic_user_with},
    database::{
        StatementClient, UserRow,
        schema::{orders, users},
    },
    lookup::UserField,
};

use super::{
    next_id::{ATTEMPTS, last_number},
    table::{After, RowQuery, Table},
};
use crate::settings::{CreateUser, UserChange, UserFilter, UserValues};

impl Table for User {
    type Create = CreateUser;
    type Filter = UserFilter;
    type Change = UserChange;
    type Field = UserField;

    const BRIEF: &'static [&'static str] = &["user_id", "name", "gender", "age", "age_group", "region", "join_date"];

    async fn insert(create: &CreateUser, client: &mut StatementClient) -> anyhow::Result<Self> {
        let mut number = match create.id {
            Some(_) => 0,
            None => last_number::<Self>(client, 'U', 8).await? + 1,
        };
        for _ in 0..ATTEMPTS {
            let user = filled_in(create, number)?;
            let insert = diesel::insert_into(users::table)
                .values((UserRow::from(user), create.created_at.map(|time| users::created_at.eq(time))))
                .on_conflict_do_nothing()
                .returning(UserRow::as_select());
            match (client.query(&insert).await?.first(), &create.id) {
                (Some(inserted), _) => return Ok(inserted.into()),
                (None, Some(id)) => bail!("there is a user {id} already: orderdb user update changes it"),
                (None, None) => number += 1,
            }
        }
        bail!("other programs take each new id: give one by --id")
    }

    async fn apply(&mut self, change: &UserChange, _: &mut StatementClient) -> anyhow::Result<()> {
        change.values.apply(self);
        check_user(self)
    }

    fn select_locked(id: &str) -> impl RowQuery {
        users::table.find(id.to_owned()).select(UserRow::as_select()).for_no_key_update()
    }

    fn update(self) -> impl RowQuery {
        let id = self.user_id.to_string();
        diesel::update(users::table.find(id)).set(UserRow::from(self)).returning(UserRow::as_select())
    }

    fn delete(ids: &[String]) -> impl RowQuery {
        diesel::delete(users::table.filter(users::user_id.eq_any(ids.to_vec()))).returning(UserRow::as_select())
    }

    fn references(ids: &[String]) -> Option<impl RowQuery> {
        let of = orders::table.filter(orders::user_id.eq_any(ids.to_vec()));
        Some(of.group_by(orders::user_id).select((orders::user_id, count_star())).order(orders::user_id))
    }

    fn history_size(_: &[String]) -> Option<impl RowQuery> {
        None::<SqlQuery>
    }

    fn history(_: &str) -> Option<impl RowQuery> {
        None::<SqlQuery>
    }

    fn page(filter: &UserFilter, after: Option<After>, limit: i64) -> impl RowQuery {
        let UserFilter { region, gender, age_group, name } = filter;
        let mut page = users::table.select((UserRow::as_select(), users::created_at)).into_boxed();
        if let Some(region) = region {
            let short = Some(region_of(region)).filter(|short| *short != UNKNOWN && !region.contains(' '));
            page = page.filter(users::region.eq(short.map_or_else(|| region.clone(), str::to_owned)));
        }
        if let Some(gender) = gender {
            page = page.filter(users::gender.eq(gender.clone()));
        }
        if let Some(age_group) = age_group {
            page = page.filter(users::age_group.eq(age_group.clone()));
        }
        if let Some(name) = name {
            page = page.filter(users::name.ilike(containing(name)));
        }
        if let Some(After { id, created_at }) = after {
            let same_time = users::created_at.eq(created_at).and(users::user_id.lt(id));
            page = page.filter(users::created_at.lt(created_at).or(same_time));
        }
        page.order((users::created_at.desc(), users::user_id.desc())).limit(limit)
    }

    fn created_at(id: &str) -> impl RowQuery {
        users::table.find(id.to_owned()).select(users::created_at)
    }
}

/// The pattern of texts that contain `text`.
fn containing(text: &str) -> String {
    format!("%{}%", text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_"))
}

/// A synthetic user with the values that are given.
fn filled_in(create: &CreateUser, number: u64) -> anyhow::Result<User> {
    let CreateUser { id, values, locale, .. } = create;
    let gender = Gender::BOTH.into_iter().find(|gender| values.gender.as_deref() == Some(gender.letter()));
    let traits = UserTraits { gender, age: values.age.map(i32::cast_unsigned) };
    let mut random: StdRng = rand::make_rng();
    let mut user = synthetic_user_with(&mut random, number, *locale, Utc::now().date_naive(), traits);
    if let Some(id) = id {
        user.user_id = id.as_str().into();
    }
    values.apply(&mut user);
    check_user(&user)?;
    Ok(user)
}

impl UserValues {
    /// Overwrites the columns that are given, and those that follow from them.
    fn apply(&self, user: &mut User) {
        let Self { name, gender, age, age_group: group, address, region, join_date } = self;
        let set = |column: &mut String, value: &Option<String>| {
            if let Some(value) = value {
                column.clone_from(value);
            }
        };
        set(&mut user.name, name);
        set(&mut user.gender, gender);
        set(&mut user.region, region);
        if let Some(address) = address {
            user.region = region_of(address).to_owned();
        }
        if let Some(age) = *age {
            user.age = age;
            user.age_group = age_group(age);
        }
        set(&mut user.age_group, group);
        if let Some(day) = *join_date {
            user.join_date = day;
        }
    }
}
