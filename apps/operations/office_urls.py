"""Jobs and audit trail of one merchant."""

from django.urls import path

from apps.operations import views

app_name = "operations"
urlpatterns = [
    path("audit/", views.audit_list, name="audit_list"),
    path("jobs/", views.job_list, name="job_list"),
]
