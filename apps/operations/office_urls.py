"""Jobs, what is waiting, audit trail and doctor of one merchant."""

from django.urls import path

from apps.operations import views

app_name = "operations"
urlpatterns = [
    path("audit/", views.audit_list, name="audit_list"),
    path("jobs/", views.job_list, name="job_list"),
    path("waiting/", views.waiting_list, name="waiting_list"),
    path("waiting/<int:due_id>/ask/", views.waiting_ask, name="waiting_ask"),
    path("waiting/accounts/<int:account_id>/try/", views.waiting_try, name="waiting_try"),
    path("doctor/", views.doctor_page, name="doctor"),
    path("doctor/run/", views.doctor_run, name="doctor_run"),
    path("doctor/portal/", views.doctor_house, name="doctor_house"),
    path("doctor/<int:account_id>/", views.doctor_account, name="doctor_account"),
    path("doctor/<int:account_id>/rehearse/", views.doctor_rehearse, name="doctor_rehearse"),
]
